"""What is counted of requests, turns, upstreams and money, as Prometheus is told it."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from chuk.api.keys import CREDITS, ROUTER, TURNS
from chuk.credits.ledger import Operation, Outcome
from chuk.credits.money import MicroEuro
from chuk.credits.service import Order
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, eventually, live_sse
from tests.watch.traffic import told, value

CHAT = "/v1/ai/chat"


async def refused(server: RunningServer, **fields: object) -> int:
    """The status of a chat that does not begin."""
    body = {"model_id": MODEL, "message": "Hello", **fields}
    async with server.client.post(f"{server.url}{CHAT}", json=body, headers=server.bearer()) as got:
        await got.read()
        return got.status


async def test_a_request_is_counted_by_its_route_method_and_status(server: RunningServer) -> None:
    stream = uuid4()
    async with server.client.get(
        f"{server.url}/v1/ai/chat/streams/{stream}?x={stream}", headers=server.bearer()
    ) as answer:
        assert answer.status == 404
    async with server.client.get(f"{server.url}/nothing/{stream}") as answer:
        assert answer.status == 404
    text = await told(server)
    name = "chuk_http_requests_total"
    assert value(text, name, route="/v1/ai/chat/streams/{id}", method="GET", status="404") == 1
    assert value(text, name, route="none", method="GET", status="404") == 1
    assert value(text, "chuk_http_request_duration_seconds_count", route="none", status="4xx") == 1
    assert str(stream) not in text


async def test_a_method_of_ones_own_is_no_label(server: RunningServer) -> None:
    async with server.client.request("REPORT", f"{server.url}/health") as answer:
        assert answer.status == 405
    text = await told(server)
    assert value(text, "chuk_http_requests_total", method="other", status="405") == 1
    assert "REPORT" not in text


async def test_a_turn_is_counted_with_its_tokens_and_its_first_one(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    events = await server.chat("Hello")
    (usage,) = (event["usage"] for event in events if "usage" in event)
    text = await told(server)
    assert value(text, "chuk_streams_begun_total") == 1
    assert value(text, "chuk_streams_ended_total", outcome="completed", code="") == 1
    assert value(text, "chuk_first_token_seconds_count", upstream="openrouter") == 1
    assert value(text, "chuk_stream_duration_seconds_count") == 1
    for kind in ("prompt", "completion"):
        assert value(text, "chuk_tokens_total", kind=kind) == usage[f"{kind}_tokens"]


async def test_an_open_turn_is_an_open_stream_and_an_open_hold(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    async with live_sse(server) as events:
        async for event in events:
            if "content" in event:
                break
        text = await told(server)
        for name in ("streams", "connections", "holds", "http_requests"):
            assert value(text, f"chuk_{name}_open") == 1, name
        assert value(text, "chuk_oldest_hold_age_seconds") > 0
        openrouter.release.set()
        async for _ in events:
            pass
    await eventually(lambda: server.app[TURNS].running == 0)
    text = await told(server)
    for name in ("streams", "connections", "holds"):
        assert value(text, f"chuk_{name}_open") == 0, name
    assert value(text, "chuk_oldest_hold_age_seconds") == 0


@pytest.mark.parametrize(
    ("reply", "outcome", "code"),
    [
        (Reply(status=502), "failed", "PROVIDER_ERROR"),
        (Reply(status=429), "failed", "MODEL_UNAVAILABLE"),
        (Reply(content=["Hel", "lo"], break_after=1), "interrupted", "STREAM_INTERRUPTED"),
    ],
    ids=lambda each: each if isinstance(each, str) else None,
)
async def test_a_failure_is_counted_by_provider_and_code(
    server: RunningServer, openrouter: FakeOpenRouter, reply: Reply, outcome: str, code: str
) -> None:
    openrouter.script(reply)
    await refused(server, provider_slug="groq")
    text = await told(server)
    assert value(text, "chuk_streams_ended_total", outcome=outcome, code=code) == 1
    errors = value(
        text, "chuk_upstream_errors_total", upstream="openrouter", provider="groq", code=code
    )
    assert errors == 1


async def test_what_is_refused_before_upstream_is_asked_is_no_failure(
    start_server: StartServer,
) -> None:
    async with start_server(euros=0, CHUK_PLAN_FREE_MESSAGES="0") as server:
        assert await refused(server) == 402
        text = await told(server)
    assert value(text, "chuk_streams_ended_total", outcome="refused") == 1
    assert value(text, "chuk_upstream_errors_total") == 0


async def test_a_silent_upstream_is_an_error_of_its_provider(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    async with start_server(CHUK_UPSTREAM_READ_TIMEOUT="0.2") as server:
        events = await server.chat(provider_slug="groq")
        assert events[-1]["error"]["code"] == "PROVIDER_TIMEOUT"
        text = await told(server)
    assert value(text, "chuk_upstream_errors_total", provider="groq", code="PROVIDER_TIMEOUT") == 1


async def test_an_open_breaker_and_who_goes_on_elsewhere_are_seen(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    async with start_server(CHUK_ROUTING_BREAKER_FAILURES="1") as server:
        openrouter.script(Reply(status=502))
        await server.chat(provider_slug="groq", allow_provider_fallbacks=True)
        text = await told(server)
        assert server.app[ROUTER].fallbacks == 1
    assert value(text, "chuk_breakers", provider="groq", state="open") == 1
    assert value(text, "chuk_breakers", state="closed") == 1
    assert value(text, "chuk_fallbacks_total") == 1


async def test_who_is_over_a_limit_is_counted_by_its_kind(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_CHAT="1") as server:
        await server.chat()
        assert await refused(server) == 429
        text = await told(server)
    assert value(text, "chuk_rate_limit_refusals_total", bucket="chat") == 1
    assert value(text, "chuk_rate_limit_refusals_total") == 1


async def test_a_hold_is_seen_from_its_opening_to_its_end(server: RunningServer) -> None:
    order = Order(
        id=f"x_{uuid4().hex}",
        user_id=uuid4(),
        operation=Operation.CONVERSION,
        model_id="m",
        provider_slug="p",
        at_most=MicroEuro(0),
        at_least=MicroEuro(0),
    )
    async with server.app[CREDITS].hold(order) as payment:
        assert value(await told(server), "chuk_holds_open") == 1
        await payment.release(order.no_usage(Outcome.COMPLETED))
    assert value(await told(server), "chuk_holds_open") == 0


async def test_the_numbers_name_nobody_and_quote_nothing(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = uuid4()
    await server.fund(1, user)
    openrouter.script(Reply(content=["the-answer-that-was-given"]))
    token = server.bearer(user)
    body = {"model_id": MODEL, "message": "the-question-that-was-asked"}
    async with server.client.post(f"{server.url}{CHAT}", json=body, headers=token) as answer:
        assert b"the-answer-that-was-given" in await answer.read()
    text = await told(server)
    for secret in (str(user), token["Authorization"], "the-question", "the-answer", "127.0.0.1"):
        assert secret not in text


async def test_reading_the_numbers_lets_everything_else_go_on(server: RunningServer) -> None:
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    await told(server)
    task.cancel()
    # At least once between each two parts of what is read.
    assert turns > 5
