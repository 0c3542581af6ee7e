"""When a provider fails, a turn goes on with another; its user pays for the one who served."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chuk.accounts.issuer import DEFAULT_USER
from chuk.api.keys import LEDGER, ROUTER
from tests.api.chat_client import post, post_fields
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, answer_text, live_sse

CHEAP, DEAR = "deepinfra/fp8", "groq"
MINUTE_LIMITS = {"CHUK_LIMIT_CHAT": "100000", "CHUK_LIMIT_OTHER": "100000"}


def metas(events: list[Any]) -> list[str]:
    """Which providers the meta events name, in order."""
    return [event["meta"]["provider"] for event in events if "meta" in event]


async def with_fallbacks(server: RunningServer, **fields: Any) -> tuple[int, Any]:
    """One turn that may go on to another provider."""
    return await post_fields(server, allow_provider_fallbacks=True, **fields)


async def test_the_next_provider_answers_and_is_named_and_paid(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(status=502)
    status, events = await with_fallbacks(server)
    assert status == 200 and events[-1] == "[DONE]"
    assert openrouter.asked == [CHEAP, DEAR]
    assert metas(events) == [DEAR]
    (usage,) = [event["usage"] for event in events if "usage" in event]
    assert usage["provider"] == DEAR
    (generation,) = openrouter.generations.values()
    (receipt,) = await receipts_of(server, DEFAULT_USER)
    assert receipt["provider"] == DEAR
    assert usage["cost_eur"] == receipt["charged_eur"] > 0
    assert receipt["charged_eur"] == pytest.approx(float(generation.cost) * 0.92, abs=1e-6)


async def test_a_provider_that_fails_after_its_meta_is_followed_by_another_meta(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(content=[], finish_reason="error")
    status, events = await with_fallbacks(server)
    assert status == 200 and events[-1] == "[DONE]"
    assert metas(events) == [CHEAP, DEAR]
    assert answer_text(events).startswith("You wrote: Hello")
    (receipt,) = await receipts_of(server, DEFAULT_USER)
    assert receipt["provider"] == DEAR


async def test_without_fallbacks_the_failure_is_told(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(status=502)
    status, answer = await post_fields(server, provider_slug=CHEAP)
    assert (status, answer["error"]["code"]) == (502, "PROVIDER_ERROR")
    assert openrouter.asked == [CHEAP]


async def test_a_slow_first_byte_goes_on_to_the_next(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(gates={0: asyncio.Event()})
    async with start_server(CHUK_ROUTING_FIRST_BYTE_TIMEOUT="0.05") as server:
        status, events = await with_fallbacks(server)
        assert status == 200 and metas(events) == [DEAR]
        await openrouter.wait_for_disconnect()


async def test_nobody_else_is_asked_after_a_stop(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(never_answer=True)
    async with start_server(CHUK_RESUME_GRACE="0") as server, server.socket() as socket:
        fields = {"model_id": MODEL, "message": "Hello", "allow_provider_fallbacks": True}
        await socket.send_json(fields)
        await openrouter.wait_for_completions()
        await socket.send_json({"type": "cancel"})
        while "done" not in await socket.receive_json():
            pass
        await openrouter.wait_for_disconnect()
        assert openrouter.asked == [CHEAP]


async def test_a_stop_while_the_second_one_answers_pays_for_that_part_of_the_second_alone(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(content=[], finish_reason="error")
    openrouter.endpoints[DEAR] = Reply(content=["a", "b"], stall_after=1)
    async with server.socket() as socket:
        fields = {"model_id": MODEL, "message": "Hello", "allow_provider_fallbacks": True}
        await socket.send_json(fields)
        while "content" not in await socket.receive_json():
            pass
        await socket.send_json({"type": "cancel"})
        while "done" not in await socket.receive_json():
            pass
    failed, served = openrouter.generations.values()
    assert served.provider_name == "Groq" and failed.cost > 0
    (receipt,) = await receipts_of(server, DEFAULT_USER)
    assert (receipt["provider"], receipt["outcome"]) == (DEAR, "cancelled")
    assert receipt["charged_eur"] == pytest.approx(float(served.cost) * 0.92, abs=1e-6)


async def test_a_free_message_is_used_once_however_many_were_asked(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(status=500)
    async with start_server(euros=0) as server:
        status, events = await with_fallbacks(server)
        assert status == 200 and metas(events) == [DEAR]
        found = await ask(server, DEFAULT_USER, "/v1/user/status")
        assert found["free_messages_remaining"] == 9


async def test_when_everybody_fails_nothing_is_charged(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(content=[], finish_reason="error")
    openrouter.endpoints[DEAR] = Reply(content=[], finish_reason="error")
    status, events = await with_fallbacks(server)
    assert status == 200 and events[-1]["error"]["code"] == "PROVIDER_ERROR"
    (receipt,) = await receipts_of(server, DEFAULT_USER)
    assert (receipt["charged_eur"], receipt["outcome"]) == (0, "failed")
    found = await ask(server, DEFAULT_USER, "/v1/user/status")
    assert found["credits_remaining"] == 100
    # What upstream took for them is the operator's to know.
    assert server.app[ROUTER].losses.count == 2


async def test_what_is_held_covers_the_dearest(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    alone = (await with_quote(server, provider_slug=CHEAP))["max_cost_eur"]
    dearest = (await with_quote(server, provider_slug=DEAR))["max_cost_eur"]
    both = await with_quote(server, provider_slug=CHEAP, allow_provider_fallbacks=True)
    assert alone < dearest <= both["max_cost_eur"]


async def with_quote(server: RunningServer, **fields: Any) -> Any:
    """What this turn would hold."""
    body = {"model_id": MODEL, "message": "Hello", "max_tokens": 1_000, **fields}
    async with server.client.post(
        f"{server.url}/v1/ai/quote", json=body, headers=server.bearer()
    ) as answer:
        assert answer.status == 200, await answer.text()
        return (await answer.json())["data"]


async def test_a_provider_that_cannot_hold_the_conversation_is_not_asked(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    # The cheapest one's context is 40,960 tokens.
    status, events = await with_fallbacks(server, message="word " * 40_000)
    assert status == 200 and metas(events) == [DEAR]
    assert openrouter.asked == [DEAR]


async def test_who_is_left_alone_is_told_by_the_configuration(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.endpoints[CHEAP] = Reply(status=429, headers={"Retry-After": "40"})
    async with start_server(CHUK_ROUTING_BREAKER_FAILURES="2") as server:
        assert (await routing(server))["providers"] == []
        for _ in range(2):
            await post_fields(server, provider_slug=CHEAP)
        (troubled,) = (await routing(server))["providers"]
        assert 30 < troubled.pop("retry_after") <= 40
        assert troubled == {
            "slug": CHEAP,
            "model": MODEL,
            "upstream": "openrouter",
            "state": "open",
        }
        status, answer = await post_fields(server, provider_slug=CHEAP)
        assert (status, answer["error"]["code"]) == (503, "MODEL_UNAVAILABLE")
        assert 30 < answer["error"]["details"]["retry_after"] <= 40
        assert len(openrouter.completions) == 2
        status, events = await with_fallbacks(server, provider_slug=CHEAP)
        assert status == 200 and metas(events) == [DEAR]


async def routing(server: RunningServer) -> Any:
    """What the configuration says of routing."""
    async with server.client.get(f"{server.url}/v1/ai/config", headers=server.bearer()) as answer:
        return (await answer.json())["data"]["routing"]


async def test_the_client_hears_of_life_while_providers_are_tried(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    gate = asyncio.Event()
    openrouter.endpoints[CHEAP] = Reply(content=[], finish_reason="error")
    openrouter.endpoints[DEAR] = Reply(content=["a"], gates={0: gate})
    async with (
        start_server(CHUK_CHAT_SILENCE_INTERVAL="0.05") as server,
        live_sse(server, allow_provider_fallbacks=True) as events,
    ):
        named: list[str] = []
        async for event in events:
            if "meta" in event:
                named.append(event["meta"]["provider"])
            if named[-1:] == [DEAR]:
                gate.set()
    # The one who is being asked, though it has not said a word yet.
    assert named[0] == CHEAP and set(named[1:]) == {DEAR}


_FAILURES: list[Reply] = [
    *(Reply(status=status) for status in (400, 401, 402, 404, 408, 429, 500, 502, 503, 529)),
    Reply(content=[], finish_reason="error"),
    Reply(content=[], finish_reason="stop"),
    Reply(content=[], stream_error={"code": 502, "message": "no"}),
    Reply(content=["a"], stream_error={"code": 429, "message": "no"}, error_after=0),
    Reply(content=["a"], break_after=0),
    Reply(raw=[b"data: {}\n\n"], break_after=1),
    Reply(raw=[b"nonsense\n\n"]),
]


async def test_whatever_fails_before_the_first_word_there_is_one_answer_and_one_bill(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    environ = {**MINUTE_LIMITS, "CHUK_ROUTING_BREAKER_FAILURES": "0"}
    async with start_server(**environ) as server:

        async def check(failure: Reply | None, asked: str | None, words: int) -> None:
            others = [slug for slug in (CHEAP, DEAR) if slug != asked]
            first = asked or others.pop(0)
            openrouter.endpoints = {} if failure is None else {first: failure}
            before = set(openrouter.generations)
            user = await rich(server)
            body = {
                "model_id": MODEL,
                "message": "word " * words,
                "provider_slug": asked,
                "allow_provider_fallbacks": True,
            }
            status, events = await post(server, json=body, headers=server.bearer(user))
            assert status == 200 and events[-1] == "[DONE]"
            assert answer_text(events).count("You wrote:") == 1
            assert answer_text(events).endswith("letters.")
            served = first if failure is None else others[-1]
            assert metas(events)[-1] == served
            (receipt,) = await receipts_of(server, user)
            *_, last = [each for name, each in openrouter.generations.items() if name not in before]
            assert (receipt["provider"], receipt["outcome"]) == (served, "completed")
            assert Decimal(str(receipt["charged_eur"])) == pytest.approx(
                last.cost * Decimal("0.92"), abs=Decimal("0.000001")
            )

        loop = asyncio.get_running_loop()

        @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            st.sampled_from([None, *_FAILURES]),
            st.sampled_from([None, CHEAP, DEAR]),
            st.integers(1, 60),
        )
        def every_failure(failure: Reply | None, asked: str | None, words: int) -> None:
            asyncio.run_coroutine_threadsafe(check(failure, asked, words), loop).result(10)

        await asyncio.to_thread(every_failure)
        assert await server.app[LEDGER].verify() == []
        assert server.app[ROUTER].fallbacks > 0
