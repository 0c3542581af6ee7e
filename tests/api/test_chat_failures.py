"""Every turn ends in exactly one error or one end, whatever happens to its upstream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chuk.api.keys import TURNS
from chuk.errors import ChukError
from tests.adapters.upstream_failures import REFUSALS, SECRET
from tests.api.chat_client import post, post_fields, sse_blocks
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import (
    MODEL,
    RunningServer,
    answer_text,
    live_sse,
)

PROFILES = ["envelope", "bare"]


def in_profile(profile: str) -> dict[str, str]:
    """The header that asks for a wire profile."""
    return {"Accept": f"application/json; profile={profile}"}


def as_event(profile: str, event: dict[str, Any]) -> tuple[str, str, Any]:
    """Code, message and details of an error event; its shape must be the profile's exactly."""
    if profile == "bare":
        assert list(event) == ["error", "code", "details"]
        assert isinstance(event["error"], str)
        return event["code"], event["error"], event["details"]
    assert list(event) == ["error"]
    assert list(event["error"]) == ["code", "message", "details"]
    return event["error"]["code"], event["error"]["message"], event["error"]["details"]


@pytest.mark.parametrize(("reply", "expected", "details"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_before_the_first_byte_is_a_plain_error_with_its_status(
    server: RunningServer,
    openrouter: FakeOpenRouter,
    reply: Reply,
    expected: type[ChukError],
    details: dict[str, object],
) -> None:
    openrouter.script(reply)
    async with server.client.post(
        f"{server.url}/v1/ai/chat",
        json={"model_id": MODEL, "message": "Hello"},
        headers=server.bearer(),
    ) as response:
        assert response.status == expected.status
        assert response.content_type == "application/json"
        text = await response.text()
        error = (await response.json())["error"]
        assert response.headers.get("Retry-After") == (
            str(details["retry_after"]) if "retry_after" in details else None
        )
    assert (error["code"], error["details"]) == (expected.code, details)
    # Ours, never upstream's words; and 401 and 402 are only ever the user's own.
    assert SECRET not in text
    assert response.status not in (401, 402)


@pytest.mark.parametrize("profile", PROFILES)
async def test_an_error_at_the_start_of_upstreams_stream_is_a_plain_error_too(
    server: RunningServer, openrouter: FakeOpenRouter, profile: str
) -> None:
    error = {"code": 429, "message": SECRET}
    openrouter.script(Reply(content=[], stream_error=error))
    status, answer = await post(
        server, json={"model_id": MODEL, "message": "Hello"}, headers=in_profile(profile)
    )
    assert status == 503
    assert answer["error"]["code"] == "MODEL_UNAVAILABLE"
    assert list(answer) == (["error"] if profile == "envelope" else ["detail", "error"])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(content=["a", "b"], break_after=1), "STREAM_INTERRUPTED"),
        (Reply(content=["a"], finish_reason=None, done=False, usage={}), "STREAM_INTERRUPTED"),
        (Reply(content=["a"], finish_reason="error"), "STREAM_INTERRUPTED"),
        (Reply(content=["a"], finish_reason="content_filter"), "CONTENT_FILTERED"),
        (Reply(content=["a"], stream_error={"code": 502, "message": SECRET}), "PROVIDER_ERROR"),
        (Reply(content=["a"], stream_error={"code": 504, "message": SECRET}), "PROVIDER_TIMEOUT"),
        (Reply(content=["a"], stream_error={"code": "oops", "message": SECRET}), "PROVIDER_ERROR"),
        (
            Reply(
                content=["a"],
                raw=[b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"x" * 2**21],
            ),
            "PROVIDER_ERROR",
        ),
    ],
    ids=["cut", "no end", "error", "filter", "502", "504", "unknown", "endless event"],
)
async def test_a_failure_after_some_text_is_one_error_event_and_a_clean_end(
    server: RunningServer, openrouter: FakeOpenRouter, reply: Reply, code: str, profile: str
) -> None:
    openrouter.script(reply)
    status, events = await post(
        server, json={"model_id": MODEL, "message": "Hello"}, headers=in_profile(profile)
    )
    assert status == 200
    assert answer_text(events[:-1]) == "a"
    assert "usage" in events[-3] and "tps" in events[-2]
    found, message, details = as_event(profile, events[-1])
    assert found == code and details == {} and SECRET not in message
    assert sum("error" in event for event in events) == 1
    assert "[DONE]" not in events


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "error"])
async def test_an_answer_without_any_text_is_an_error(
    server: RunningServer, openrouter: FakeOpenRouter, reason: str
) -> None:
    openrouter.script(Reply(content=[], finish_reason=reason))
    status, events = await post_fields(server)
    expected = "CONTENT_FILTERED" if reason == "content_filter" else "PROVIDER_ERROR"
    assert status == 200
    assert events[-1]["error"]["code"] == expected
    assert "[DONE]" not in events


async def test_upstream_that_never_answers_is_a_timeout(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(never_answer=True))
    async with start_server(CHUK_UPSTREAM_FIRST_BYTE_TIMEOUT="0.1") as server:
        status, answer = await post_fields(server)
        assert (status, answer["error"]["code"]) == (504, "PROVIDER_TIMEOUT")
        await openrouter.wait_for_disconnect()


async def test_upstream_that_falls_silent_is_a_timeout_inside_the_stream(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    async with start_server(CHUK_UPSTREAM_READ_TIMEOUT="0.1") as server:
        status, events = await post_fields(server)
        assert status == 200 and answer_text(events[:-1]) == "a"
        assert events[-1]["error"]["code"] == "PROVIDER_TIMEOUT"
        await openrouter.wait_for_disconnect()


async def test_an_upstream_that_is_gone_is_unavailable(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    await openrouter.__aexit__(None, None, None)
    status, answer = await post_fields(server)
    assert (status, answer["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")


async def test_a_draining_server_takes_no_new_turn_and_ends_the_running_ones(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    async with live_sse(server) as events:
        while (await anext(events)) != {"content": "a"}:
            pass
        draining = asyncio.create_task(server.app[TURNS].drain(5))
        await asyncio.sleep(0)
        status, answer = await post_fields(server)
        assert (status, answer["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
        openrouter.release.set()
        rest = [event async for event in events]
        assert answer_text(rest[:-1]) == "b" and rest[-1] == "[DONE]"
        await draining


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_shutdown_ends_an_open_stream_with_one_error_and_a_clean_body(
    server: RunningServer, openrouter: FakeOpenRouter, profile: str
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    async with server.client.post(
        f"{server.url}/v1/ai/chat",
        json={"model_id": MODEL, "message": "Hello"},
        headers={**server.bearer(), **in_profile(profile)},
    ) as response:
        body = b""
        while b'"a"' not in body:
            body += await response.content.readany()
        await server.runner.cleanup()
        # The client raises here when the chunked body does not end as it should.
        body += await response.read()
    blocks = sse_blocks(body)
    assert as_event(profile, blocks[-1].data)[0] == "SERVICE_UNAVAILABLE"
    assert [block.id.rpartition(":")[2] for block in blocks if block.id] == [
        str(number) for number in range(1, len(blocks) + 1)
    ]


async def test_a_shutdown_before_the_first_byte_is_a_plain_error(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(never_answer=True))
    asked = asyncio.create_task(post_fields(server))
    await openrouter.wait_for_completions()
    await server.runner.cleanup()
    status, answer = await asked
    assert (status, answer["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")


_PIECES = st.lists(
    st.text(
        alphabet=st.one_of(
            st.sampled_from('ab"\\\n 漢🙂'), st.characters(exclude_categories=["Cs"])
        ),
        min_size=1,
        max_size=4,
    ),
    max_size=6,
)
_REPLIES = st.builds(
    Reply,
    content=_PIECES,
    reasoning=_PIECES,
    reasoning_field=st.sampled_from(["reasoning", "reasoning_content"]),
    finish_reason=st.sampled_from(["stop", "length", "error", "content_filter", "odd", None]),
    usage=st.sampled_from([None, {}, {"prompt_tokens": 1, "completion_tokens": 2}]),
    usage_with_finish=st.booleans(),
    done=st.booleans(),
    stream_error=st.sampled_from([None, None, {"code": 502, "message": SECRET}]),
    error_after=st.one_of(st.none(), st.integers(0, 12)),
    break_after=st.one_of(st.none(), st.integers(0, 12)),
    comments=st.integers(0, 2),
    pieces_per_write=st.integers(1, 4),
)


async def test_every_turn_ends_exactly_once(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    environ = {"CHUK_LIMIT_CHAT": "100000", "CHUK_ROUTING_BREAKER_FAILURES": "0"}
    async with start_server(**environ) as server:

        async def check(reply: Reply) -> None:
            openrouter.script(reply)
            async with server.client.post(
                f"{server.url}/v1/ai/chat",
                json={"model_id": MODEL, "message": "Hello"},
                headers=server.bearer(),
            ) as response:
                body = await response.read()
                if response.status != 200:
                    assert response.content_type == "application/json"
                    silent = not [*reply.reasoning, *(reply.content or ())]
                    assert silent or 0 in (reply.break_after, reply.error_after)
                    return
            check_turn([block.data for block in sse_blocks(body)], reply)

        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_REPLIES)
        def every_reply(reply: Reply) -> None:
            asyncio.run_coroutine_threadsafe(check(reply), loop).result(10)

        await asyncio.to_thread(every_reply)


def answer_text_of(reply: Reply) -> str:
    """All that an upstream meant to say."""
    return "".join(reply.content or ())


def check_turn(events: list[Any], reply: Reply) -> None:
    """One end, after what upstream said, in order."""
    *before, last = events
    assert "stream" in before[0]
    assert all(len(event) == 1 for event in events if isinstance(event, dict))
    assert all(event != "[DONE]" and "error" not in event for event in before)
    said = answer_text(before)
    assert answer_text_of(reply).startswith(said)
    if last == "[DONE]":
        assert said == answer_text_of(reply)
        assert [key for event in before[-2:] for key in event] == ["usage", "tps"]
    else:
        assert last["error"]["code"] and SECRET not in last["error"]["message"]
