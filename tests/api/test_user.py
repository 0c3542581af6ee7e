"""What a user sees of the account: status, usage, limits of one's own."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, sse_events

ROUTES = [
    ("GET", "/v1/user/status"),
    ("GET", "/v1/user/usage"),
    ("GET", "/v1/user/spending-cap"),
    ("PUT", "/v1/user/spending-cap"),
]
NO_LIMITS = {"daily_eur": None, "monthly_eur": None}


async def chat(server: RunningServer, user: Any, **fields: Any) -> tuple[int, Any]:
    """One whole turn: its events, or its error."""
    body = {"model_id": MODEL, "message": "Hello", "max_tokens": 500, **fields}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=body, headers=server.bearer(user)
    ) as answer:
        if answer.status == 200:
            return 200, sse_events(await answer.read())
        return answer.status, await answer.json()


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_strangers_see_nothing(server: RunningServer, method: str, path: str) -> None:
    async with server.client.request(method, f"{server.url}{path}") as answer:
        assert answer.status == 401


async def test_somebody_new_has_free_messages_and_nothing_else(server: RunningServer) -> None:
    user = uuid4()
    assert await ask(server, user, "/v1/user/status") == {
        "has_subscription": False,
        "current_plan": None,
        "credits_remaining": 0.0,
        "credits_total": 0.0,
        "subscription_status": "none",
        "current_period_end": None,
        "cancel_at_period_end": False,
        "free_messages_remaining": 10,
        "free_messages_total": 10,
    }
    assert await ask(server, user, "/v1/user/usage") == {"receipts": [], "next_cursor": None}
    assert await ask(server, user, "/v1/user/spending-cap") == NO_LIMITS


async def test_the_receipt_of_a_turn_says_what_it_cost_and_why(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    _, events = await chat(server, user, provider_slug="groq", metadata={"chat": "7"})
    (receipt,) = await receipts_of(server, user)
    (generation,) = openrouter.generations.values()
    assert receipt["id"] == events[0]["stream"]["id"]
    assert receipt["charged_eur"] == pytest.approx(float(generation.cost) * 0.92, abs=1e-6)
    assert receipt["held_eur"] > receipt["charged_eur"] > 0
    expected = {
        "operation": "chat",
        "model": MODEL,
        "provider": "groq",
        "prompt_tokens": generation.prompt_tokens,
        "completion_tokens": generation.completion_tokens,
        "basis": "upstream",
        "outcome": "completed",
        "free_message": False,
        "zdr": True,
        "tags": {"chat": "7"},
    }
    assert {name: receipt[name] for name in expected} == expected
    status = await ask(server, user, "/v1/user/status")
    assert status["credits_remaining"] == pytest.approx(10 - receipt["charged_eur"])


async def test_usage_is_read_page_by_page_and_only_by_its_user(server: RunningServer) -> None:
    user, other = uuid4(), uuid4()
    for _ in range(5):
        await chat(server, user)
    await chat(server, other)
    seen: list[str] = []
    query = "?limit=2"
    while query:
        page = await ask(server, user, f"/v1/user/usage{query}")
        seen += [receipt["id"] for receipt in page["receipts"]]
        cursor = page["next_cursor"]
        query = f"?limit=2&cursor={cursor}" if cursor else ""
    assert len(set(seen)) == len(seen) == 5
    assert len(await receipts_of(server, other)) == 1


async def test_usage_is_summed_by_day_and_by_model(server: RunningServer) -> None:
    user = await rich(server)
    for _ in range(2):
        await chat(server, user)
    await chat(server, user, model_id="google/gemma-3-27b-it")
    charged = sum(receipt["charged_eur"] for receipt in await receipts_of(server, user))
    days = await ask(server, user, "/v1/user/usage?by=day")
    assert days["by"] == "day"
    assert sum(day["requests"] for day in days["sums"]) == 3
    assert sum(day["charged_eur"] for day in days["sums"]) == pytest.approx(charged)
    models = await ask(server, user, "/v1/user/usage?by=model")
    assert {each["key"]: each["requests"] for each in models["sums"]} == {
        MODEL: 2,
        "google/gemma-3-27b-it": 1,
    }
    old = await ask(server, user, "/v1/user/usage?by=model&from=2020-01-01&to=2020-12-31")
    assert old["sums"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=x",
        "by=hour",
        "cursor=x",
        "from=yesterday",
        "from=1500-01-01",
        "to=9999-12-31",
        "to=2026-13-01",
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(server: RunningServer, query: str) -> None:
    error = await ask(server, uuid4(), f"/v1/user/usage?{query}", status=400)
    (field,) = error["error"]["details"]["fields"]
    assert query.startswith(field)


async def test_a_cap_of_ones_own_refuses_what_would_exceed_it(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    cap = {"daily_eur": 0.000001, "monthly_eur": 5}
    path = "/v1/user/spending-cap"
    assert await ask(server, user, path, method="PUT", json=cap) == cap
    assert await ask(server, user, path) == cap
    status, error = await chat(server, user)
    assert (status, error["error"]["code"]) == (429, "QUOTA_EXCEEDED")
    assert error["error"]["details"]["period"] == "day"
    assert openrouter.completions == []
    await ask(server, user, path, method="PUT", json=NO_LIMITS)
    assert (await chat(server, user))[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"daily_eur": 1},
        {"daily_eur": -1, "monthly_eur": None},
        {"daily_eur": "1", "monthly_eur": None},
        {"daily_eur": True, "monthly_eur": None},
        {"daily_eur": 1e12, "monthly_eur": None},
        {"daily_eur": [1], "monthly_eur": None},
        [],
        "x",
    ],
)
async def test_a_cap_that_is_none_changes_nothing(server: RunningServer, body: Any) -> None:
    user = uuid4()
    path = "/v1/user/spending-cap"
    error = await ask(server, user, path, method="PUT", json=body, status=400)
    assert error["error"]["code"] == "INVALID_REQUEST"
    assert await ask(server, user, path) == NO_LIMITS


async def test_who_has_nothing_left_is_refused_before_upstream_hears_of_it(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    async with start_server(CHUK_PLAN_FREE_MESSAGES="1") as server:
        user = uuid4()
        assert (await chat(server, user))[0] == 200
        asked = len(openrouter.completions)
        status, error = await chat(server, user)
        assert (status, error["error"]["code"]) == (402, "INSUFFICIENT_CREDITS")
        assert error["error"]["details"].keys() == {"required", "available", "operation"}
        assert len(openrouter.completions) == asked
        assert len(await receipts_of(server, user)) == 1


async def test_a_failure_has_a_receipt_that_says_that_nothing_was_taken(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    openrouter.script(Reply(status=503))
    assert (await chat(server, user))[0] == 503
    (receipt,) = await receipts_of(server, user)
    assert (receipt["charged_eur"], receipt["outcome"], receipt["basis"]) == (
        0,
        "failed",
        "nothing",
    )
