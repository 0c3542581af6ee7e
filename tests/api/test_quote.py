"""A quote tells what a chat could cost, and starts nothing."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, RunningServer

BODY = {"model_id": MODEL, "message": "Hello", "provider_slug": "groq", "max_tokens": 1_000}


async def quote(server: RunningServer, user: Any, **fields: Any) -> Any:
    """The quote for a request like the usual one."""
    return await ask(server, user, "/v1/ai/quote", method="POST", json={**BODY, **fields})


async def test_it_starts_nothing_and_holds_nothing(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    found = await quote(server, user)
    assert found["affordable"] and not found["uses_free_message"]
    assert (found["model"], found["provider"], found["max_tokens"]) == (MODEL, "groq", 1_000)
    assert found["max_cost_eur"] == pytest.approx(1_000 * 0.59e-6 * 0.92, rel=0.1)
    assert 0 < found["min_cost_eur"] < found["max_cost_eur"] / 10
    assert openrouter.completions == []
    assert await receipts_of(server, user) == []
    assert (await ask(server, user, "/v1/user/status"))["credits_remaining"] == 10.0


async def test_it_is_what_the_turn_then_holds(server: RunningServer) -> None:
    user = await rich(server)
    found = await quote(server, user)
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=BODY, headers=server.bearer(user)
    ) as answer:
        await answer.read()
    (receipt,) = await receipts_of(server, user)
    assert receipt["held_eur"] == found["max_cost_eur"] >= receipt["charged_eur"]


async def test_little_money_makes_answers_shorter(server: RunningServer) -> None:
    user = await rich(server, 0.0003)
    found = await quote(server, user)
    assert 256 <= found["max_tokens"] < 1_000
    assert found["affordable"] and found["max_cost_eur"] <= 0.0003


async def test_without_money_a_free_message_is_foretold_and_then_a_refusal(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_PLAN_FREE_MESSAGES="1") as server:
        user = uuid4()
        found = await quote(server, user)
        assert found["affordable"] and found["uses_free_message"]
        async with server.client.post(
            f"{server.url}/v1/ai/chat", json=BODY, headers=server.bearer(user)
        ) as answer:
            assert answer.status == 200
            await answer.read()
        found = await quote(server, user)
        assert not found["affordable"] and not found["uses_free_message"]


async def test_fallbacks_cost_what_the_dearest_may_ask(server: RunningServer) -> None:
    user = await rich(server)
    alone = await quote(server, user, provider_slug="deepinfra/fp8")
    others = await quote(server, user, provider_slug="deepinfra/fp8", allow_provider_fallbacks=True)
    assert others["max_cost_eur"] > alone["max_cost_eur"]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model_id": "nobody/knows"}, 404, "MODEL_NOT_FOUND"),
        ({"provider_slug": "nobody"}, 404, "MODEL_NOT_FOUND"),
        ({"message": " "}, 400, "INVALID_REQUEST"),
        ({"max_tokens": 0}, 400, "INVALID_REQUEST"),
        ({"message": "word " * 300_000}, 400, "CONTEXT_TOO_LONG"),
    ],
)
async def test_what_chat_would_refuse_is_refused(
    server: RunningServer, fields: dict[str, Any], status: int, code: str
) -> None:
    error = await ask(
        server,
        uuid4(),
        "/v1/ai/quote",
        method="POST",
        status=status,
        # Not as bytes: the client warns of large ones.
        data=io.BytesIO(json.dumps({**BODY, **fields}).encode()),
        headers={"Content-Type": "application/json"},
    )
    assert error["error"]["code"] == code


async def test_a_form_is_as_good_as_json(server: RunningServer) -> None:
    user = await rich(server)
    fields = {name: str(value) for name, value in BODY.items()}
    form = await ask(server, user, "/v1/ai/quote", method="POST", data=fields)
    assert form == await quote(server, user)
