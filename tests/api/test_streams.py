"""An answer whose connection was cut is taken up again over HTTP, exactly where it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from chuk.accounts.issuer import DEFAULT_USER
from tests.api.chat_client import sse_blocks
from tests.api.slow_reader import SlowReader
from tests.api.stream_client import (
    BODY,
    code_of,
    cut_after,
    last_id,
    listed,
    resumed,
    stopped,
    stream_of,
    whole,
)
from tests.conftest import StartServer
from tests.credits.people import receipts_of
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, answer_text, eventually, sse_events
from tests.raw_http import raw_connection, request_bytes

PIECES = ["Hel", "lo, ", "wor", 'ld "\n', "\\ 漢", "🙂"]
STALLING = Reply(content=["a", "b", "c"], stall_after=1)


@pytest.fixture
async def hasty(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that waits only a moment for those who were cut."""
    async with start_server(CHUK_RESUME_GRACE="0.2") as running:
        yield running


async def test_an_answer_that_has_ended_is_read_again_byte_for_byte(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=PIECES, reasoning=["Hm", "m"]))
    body = await whole(server)
    stream = stream_of(body)
    assert await resumed(server, stream) == (200, body)
    frames = [block + b"\n\n" for block in body.split(b"\n\n")[:-1]]
    for number in range(len(frames)):
        expected = b"".join(frames[number:])
        assert await resumed(server, stream, last=f"{stream}:{number}") == (200, expected)
        assert await resumed(server, stream, last=str(number)) == (200, expected)
        assert await resumed(server, stream, after=number) == (200, expected)
    assert len(openrouter.completions) == 1


async def test_an_answer_that_still_comes_is_followed_to_its_end(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    gates = {number: asyncio.Event() for number in range(1, 4)}
    openrouter.script(Reply(content=["a", "b", "c"], gates=gates))
    begun = await cut_after(server, 3)
    stream = stream_of(begun)
    async with server.client.get(
        f"{server.url}/v1/ai/chat/streams/{stream}",
        headers={**server.bearer(), "Last-Event-ID": last_id(begun) or ""},
    ) as answer:
        # It has begun, though there is nothing yet to read.
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        gates[1].set()
        assert b'"b"' in await answer.content.readany()
        gates[2].set()
        gates[3].set()
        rest = await answer.read()
    assert answer_text(sse_events(rest)[:-1]) == "c" and rest.endswith(b"data: [DONE]\n\n")
    assert openrouter.disconnects == 0


async def test_many_follow_at_once_and_one_that_leaves_takes_nothing_from_the_others(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with SlowReader(server):
        await openrouter.wait_for_completions()
        (facts,) = await listed(server)
        following = [asyncio.create_task(resumed(server, facts["id"])) for _ in range(3)]
        async with server.client.get(
            f"{server.url}/v1/ai/chat/streams/{facts['id']}", headers=server.bearer()
        ) as leaves:
            assert await leaves.content.readany()
    # The first client is gone as well by now.
    openrouter.release.set()
    (first, *others) = await asyncio.gather(*following)
    assert answer_text(sse_events(first[1])[:-1]) == "abc" and others == [first, first]
    assert openrouter.disconnects == 0


async def test_nobody_who_comes_back_in_time_means_that_the_turn_stops_and_is_settled(
    hasty: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    begun = await cut_after(hasty, 3)
    await openrouter.wait_for_disconnect()
    stream = stream_of(begun)
    status, rest = await resumed(hasty, stream, last=last_id(begun))
    *_, usage, _tps, end = sse_events(rest)
    assert status == 200 and end == "[DONE]"
    assert usage["usage"]["finish_reason"] == "cancelled"
    (receipt,) = await receipts_of(hasty, DEFAULT_USER)
    assert receipt["outcome"] == "cancelled" and receipt["charged_eur"] > 0


async def test_whoever_follows_keeps_the_turn_alive_beyond_the_grace_time(
    hasty: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING, STALLING)
    begun = await cut_after(hasty, 3)
    following = asyncio.create_task(resumed(hasty, stream_of(begun), last=last_id(begun)))
    # One that was lost later has been given up by now.
    await cut_after(hasty, 3)
    await openrouter.wait_for_disconnect()
    assert openrouter.open_completions == 1
    openrouter.release.set()
    _, rest = await following
    assert answer_text(sse_events(rest)[:-1]) == "bc"


async def test_without_a_grace_time_nothing_is_kept(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with start_server(CHUK_RESUME_GRACE="0") as server:
        begun = await cut_after(server, 3)
        await openrouter.wait_for_disconnect()
        status, body = await resumed(server, stream_of(begun), after=3)
        assert (status, code_of(body)) == (404, "NOT_FOUND")
        assert await listed(server) == []


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "{stream}:", ":3", "other:3", "١", "1" * 13])
async def test_a_malformed_last_event_is_refused(
    server: RunningServer, openrouter: FakeOpenRouter, last: str
) -> None:
    stream = stream_of(await whole(server))
    status, body = await resumed(server, stream, last=last.format(stream=stream))
    assert (status, code_of(body)) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30])
async def test_so_is_a_malformed_query_unless_the_header_says_better(
    server: RunningServer, openrouter: FakeOpenRouter, after: str
) -> None:
    body = await whole(server)
    stream = stream_of(body)
    status, refusal = await resumed(server, stream, after=after)
    assert (status, code_of(refusal)) == (400, "INVALID_REQUEST")
    assert await resumed(server, stream, after=after, last="0") == (200, body)


async def test_beyond_the_end_there_is_just_the_end(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a"]), Reply(content=["a"], break_after=1))
    well, badly = await whole(server), await whole(server)
    assert await resumed(server, stream_of(well), after=1_000) == (200, b"data: [DONE]\n\n")
    last = badly.split(b"\n\n")[-2] + b"\n\n"
    assert b'"error"' in last
    assert await resumed(server, stream_of(badly), after=1_000) == (200, last)


async def test_only_its_owner_finds_a_stream(server: RunningServer) -> None:
    stream = stream_of(await whole(server))
    stranger = server.bearer(uuid4())
    for headers, named in ((stranger, stream), (server.bearer(), "nobody"), (stranger, "x:1")):
        status, body = await resumed(server, named, headers=headers)
        assert (status, code_of(body)) == (404, "NOT_FOUND")
        status, answer = await stopped(server, named, headers)
        assert (status, answer["error"]["code"]) == (404, "NOT_FOUND")
    assert await listed(server, stranger) == []
    status, _ = await resumed(server, stream, headers={})
    assert status == 401


async def test_ones_own_streams_are_listed_the_newest_first(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a"]), Reply(content=["a"], break_after=1), STALLING)
    done, failed = await whole(server), await whole(server)
    async with SlowReader(server):
        await openrouter.wait_for_completions(3)
        await eventually(lambda: openrouter.completions[-1].pieces_sent > 0)
        found = await listed(server)
        openrouter.release.set()
    assert [facts["state"] for facts in found] == ["running", "failed", "done"]
    assert [facts["id"] for facts in found[1:]] == [stream_of(failed), stream_of(done)]
    assert found[2].keys() == {"id", "model_id", "started_at", "state", "last_event"}
    assert found[2]["model_id"] == BODY["model_id"] and found[2]["started_at"].endswith("Z")
    numbered = [block.id for block in sse_blocks(done) if block.id]
    assert numbered[-1] == f"{found[2]['id']}:{found[2]['last_event']}"


async def test_a_stop_ends_the_turn_well_and_may_be_said_again(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    begun = await cut_after(server, 3)
    stream = stream_of(begun)
    following = asyncio.create_task(resumed(server, stream, last=last_id(begun)))
    for _ in range(2):
        status, answer = await stopped(server, stream)
        assert status == 200 and answer["data"] == {"id": stream, "stopped": True}
    await openrouter.wait_for_disconnect()
    status, rest = await following
    *_, usage, _tps, end = sse_events(rest)
    assert status == 200 and end == "[DONE]" and usage["usage"]["finish_reason"] == "cancelled"
    status, answer = await stopped(server, stream)
    assert status == 200 and answer["data"] == {"id": stream, "stopped": True}
    assert len(await receipts_of(server, DEFAULT_USER)) == 1


async def test_a_refused_turn_is_refused_again_and_nothing_is_asked_of_upstream(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(status=429))
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=BODY, headers=server.bearer()
    ) as answer:
        first = await answer.json()
    (facts,) = await listed(server)
    status, body = await resumed(server, facts["id"])
    assert (status, code_of(body)) == (answer.status, first["error"]["code"])
    assert len(openrouter.completions) == 1


async def test_whoever_asks_only_for_the_head_gets_no_byte_of_the_answer(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    stream = stream_of(await cut_after(server, 3))
    async with raw_connection(server.url) as connection:
        for after in (0, 1):
            path = f"/v1/ai/chat/streams/{stream}?after={after}"
            await connection.send(request_bytes("HEAD", path, server.bearer()))
            head = await connection.answer(has_body=False)
            assert (head.status, head.header("Content-Type")) == (200, "text/event-stream")
        # What comes next is the next answer, so nothing was left of those before it.
        await connection.send(request_bytes("HEAD", "/v1/ai/chat/streams/x", server.bearer()))
        assert (await connection.answer(has_body=False)).status == 404


async def test_it_counts_in_the_bucket_of_everything_else(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_OTHER="3") as server:
        stream = stream_of(await whole(server))
        statuses = [(await resumed(server, stream))[0] for _ in range(4)]
        assert statuses == [200, 200, 200, 429]


async def test_a_page_of_another_origin_may_name_its_last_event(start_server: StartServer) -> None:
    origin = "https://app.example"
    async with (
        start_server(CHUK_CORS_ORIGINS=origin) as server,
        server.client.options(
            f"{server.url}/v1/ai/chat/streams/x",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization,last-event-id",
            },
        ) as answer,
    ):
        assert answer.status == 200
        allowed = answer.headers["Access-Control-Allow-Headers"].lower()
        assert "last-event-id" in allowed and "authorization" in allowed
