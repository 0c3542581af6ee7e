"""What is told outside of traces and failures: ids and codes, and nothing that anybody wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from chuk import __version__
from chuk.app.telemetry import make_telemetry
from chuk.logs import log_failure
from chuk.metrics.collector import exposition
from chuk.metrics.site import METRICS
from chuk.settings import SettingsError, load
from chuk.spans import NO_SPANS
from tests.conftest import StartServer
from tests.fakes.collectors import FakeSentry, FakeTraceCollector
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, answer_text, turn_events
from tests.watch.traffic import value

SAID = "the-question-that-was-asked"
ANSWERED = "the-answer-that-was-given"
PROMPTED = "the-prompt-behind-it"
HIDDEN = "the-text-of-an-exception"
SENT = "a-header-of-a-request"


@pytest.fixture
async def collector() -> AsyncIterator[FakeTraceCollector]:
    """A collector of traces, running."""
    async with FakeTraceCollector() as running:
        yield running


@pytest.fixture
async def sentry() -> AsyncIterator[FakeSentry]:
    """A Sentry, running."""
    async with FakeSentry() as running:
        yield running


def facts(span: Span) -> dict[str, Any]:
    """The attributes of a span."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value")
        for each in span.attributes
    }


def named(spans: list[Span], name: str) -> list[Span]:
    """The spans of this name, in the order of their beginnings."""
    found = [span for span in spans if span.name == name]
    return sorted(found, key=lambda span: span.start_time_unix_nano)


async def ask(server: RunningServer, **fields: Any) -> tuple[int, bytes]:
    """One chat, and what came of it."""
    body = {"model_id": MODEL, "message": SAID, "system_prompt": PROMPTED, **fields}
    headers = {**server.bearer(), "X-Note": SENT, "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    async with server.client.post(f"{server.url}/v1/ai/chat", json=body, headers=headers) as answer:
        return answer.status, await answer.read()


def breaking(app: web.Application) -> None:
    """Hang a route that fails with a text of its own, and a value beside it."""

    async def fail(_request: web.Request) -> web.Response:
        secret = HIDDEN
        raise ValueError(secret)

    app.router.add_get("/failing", fail)


async def failing(server: RunningServer) -> int:
    """Ask for that route; returns the status."""
    async with server.client.get(f"{server.url}/failing?q={SAID}", headers={"X-Note": SENT}) as got:
        return got.status


async def test_a_request_a_turn_and_its_attempts_lie_inside_each_other(
    start_server: StartServer, openrouter: FakeOpenRouter, collector: FakeTraceCollector
) -> None:
    openrouter.script(Reply(status=502), Reply(content=["One", " two"]))
    async with start_server(CHUK_TRACES_URL=collector.url) as server:
        status, _ = await ask(server, provider_slug="groq", allow_provider_fallbacks=True)
        assert status == 200
    (request,) = named(collector.spans, "request")
    assert facts(request)["http.route"] == "/v1/ai/chat"
    (turn,) = named(collector.spans, "turn")
    first, second = named(collector.spans, "attempt")
    assert request.parent_span_id == b""
    assert turn.parent_span_id == request.span_id
    assert first.parent_span_id == second.parent_span_id == turn.span_id
    assert {span.trace_id for span in (request, turn, first, second)} == {request.trace_id}
    assert request.trace_id != b"\xaa" * 16
    assert facts(request)["http.response.status_code"] == 200
    assert (facts(first)["chuk.provider"], facts(first)["error.type"]) == ("groq", "PROVIDER_ERROR")
    assert "error.type" not in facts(second)
    assert facts(turn)["chuk.outcome"] == "completed"
    assert facts(turn)["chuk.completion_tokens"] > 0
    assert facts(turn)["chuk.model"] == MODEL


async def test_every_fact_of_a_span_is_an_id_a_template_a_code_or_a_number(
    start_server: StartServer, openrouter: FakeOpenRouter, collector: FakeTraceCollector
) -> None:
    openrouter.script(Reply(status=502))
    async with start_server(CHUK_TRACES_URL=collector.url) as server:
        await ask(server)
        await ask(server)
    assert {key for span in collector.spans for key in facts(span)} <= {
        *("http.request.method", "http.route", "http.response.status_code", "error.type"),
        *("chuk.request", "chuk.stream", "chuk.model", "chuk.upstream", "chuk.provider"),
        *("chuk.outcome", "chuk.first_token_ms", "chuk.prompt_tokens", "chuk.completion_tokens"),
    }
    assert not [event for span in collector.spans for event in span.events]
    assert {span.status.message for span in collector.spans} == {""}


async def test_nothing_that_was_said_is_in_anything_that_is_sent(
    start_server: StartServer,
    openrouter: FakeOpenRouter,
    collector: FakeTraceCollector,
    sentry: FakeSentry,
) -> None:
    openrouter.script(
        Reply(content=[ANSWERED]),
        Reply(status=502, error={"message": ANSWERED}),
        Reply(content=[ANSWERED, "x"], break_after=1),
        Reply(content=[ANSWERED]),
    )
    environ = {"CHUK_TRACES_URL": collector.url, "SENTRY_DSN": sentry.dsn}
    async with start_server(prepare=breaking, **environ) as server:
        token = server.token()
        answered = [await ask(server) for _ in range(3)]
        assert ANSWERED.encode() in answered[0][1]
        async with server.socket() as socket:
            await socket.send_json({"model_id": MODEL, "message": SAID, "token": token})
            assert ANSWERED in answer_text(await turn_events(socket))
        assert await failing(server) == 500
        # What a turn stumbles over while it holds what was said.
        log_failure("test", _raised(ValueError(SAID)), stream="an-id", text=SAID, user=SAID)
    everything = collector.everything + sentry.everything
    assert len(named(collector.spans, "turn")) == 4
    assert len(sentry.events) == 2
    for secret in (SAID, ANSWERED, PROMPTED, HIDDEN, SENT, token, openrouter.api_key):
        assert secret.encode() not in everything, secret
    for secret in (str(Path.cwd()), "aaaaaaaaaaaaaaaa", "127.0.0.1:0"):
        assert secret.encode() not in b"\n".join(collector.bodies), secret


async def test_a_report_says_which_exception_and_where_and_no_more(
    start_server: StartServer, sentry: FakeSentry
) -> None:
    async with start_server(prepare=breaking, SENTRY_DSN=sentry.dsn) as server:
        assert await failing(server) == 500
        log_failure("test", _raised(KeyError("k")), stream="an-id", hold=3, other="left out")
    first, second = sentry.events
    (exception,) = first["exception"]["values"]
    assert (exception["type"], exception["module"], exception["value"]) == (
        "ValueError",
        "builtins",
        "",
    )
    assert exception["stacktrace"]["frames"][-1]["function"] == "fail"
    assert {key for frame in exception["stacktrace"]["frames"] for key in frame} <= {
        "filename",
        "function",
        "lineno",
        "in_app",
    }
    assert first["tags"].keys() == {"part", "id"}
    assert second["tags"] == {"part": "test", "stream": "an-id", "hold": "3"}
    assert first["release"] == f"chuk@{__version__}"
    assert first.keys() <= {
        *("event_id", "timestamp", "platform", "level", "logger", "release", "environment"),
        *("exception", "tags"),
    }


async def test_only_what_nobody_foresaw_is_reported(
    start_server: StartServer, openrouter: FakeOpenRouter, sentry: FakeSentry
) -> None:
    openrouter.script(Reply(status=502))
    async with start_server(SENTRY_DSN=sentry.dsn) as server:
        assert (await ask(server))[0] == 502
        async with server.client.get(f"{server.url}/nothing") as answer:
            assert answer.status == 404
    assert sentry.bodies == []


async def test_after_its_end_nothing_is_reported(
    start_server: StartServer, sentry: FakeSentry
) -> None:
    async with start_server(SENTRY_DSN=sentry.dsn):
        pass
    log_failure("test", _raised(ValueError()))
    assert sentry.bodies == []


async def test_a_collector_that_is_away_or_fails_costs_no_answer(
    start_server: StartServer, collector: FakeTraceCollector, sentry: FakeSentry
) -> None:
    collector.status = sentry.status = 500
    environ = {"CHUK_TRACES_URL": "http://127.0.0.1:9/v1/traces", "SENTRY_DSN": sentry.dsn}
    async with start_server(prepare=breaking, **environ) as server:
        async with asyncio.timeout(30):
            assert (await ask(server))[0] == 200
            assert await failing(server) == 500
            assert (await ask(server))[0] == 200
        # The numbers can still be read once all is over.
        families = server.app[METRICS].families
    text, _ = await exposition(await families(), "")
    assert value(text.decode(), "chuk_spans_lost_total") == 7


async def test_the_authorization_goes_to_the_collector_and_no_further(
    start_server: StartServer, collector: FakeTraceCollector
) -> None:
    environ = {"CHUK_TRACES_URL": collector.url, "CHUK_TRACES_AUTHORIZATION": "Bearer quiet"}
    async with start_server(**environ) as server:
        await ask(server)
    assert all("Bearer quiet" in head for head in collector.heads)
    assert collector.heads


async def test_a_share_of_nothing_sends_nothing(
    start_server: StartServer, collector: FakeTraceCollector
) -> None:
    async with start_server(CHUK_TRACES_URL=collector.url, CHUK_TRACES_SHARE="0") as server:
        assert (await ask(server))[0] == 200
    assert collector.bodies == []


def test_without_settings_nobody_is_told(tmp_path: Path) -> None:
    assert make_telemetry(load({}, directory=tmp_path)).spans is NO_SPANS


def test_an_address_that_sentry_never_gave_out_is_a_wrong_setting(tmp_path: Path) -> None:
    settings = load({"SENTRY_DSN": "https://sentry.example/1"}, directory=tmp_path)
    with pytest.raises(SettingsError, match="SENTRY_DSN: not an address of Sentry"):
        make_telemetry(settings)


def _raised(error: Exception) -> Exception:
    """The same, with the frames it has once it was raised."""
    try:
        raise error
    except type(error) as raised:
        return raised
