"""What ends the keeping of an answer: its bounds, its time, a shutdown, the account's deletion."""

from __future__ import annotations

import asyncio

from chuk.accounts.issuer import DEFAULT_USER
from chuk.api.keys import STREAMS
from tests.api.chat_client import sse_blocks
from tests.api.slow_reader import HeldBack, SlowReader
from tests.api.stream_client import (
    code_of,
    cut_after,
    last_id,
    listed,
    receive,
    resumed,
    stream_of,
    whole,
)
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import (
    RunningServer,
    answer_text,
    eventually,
    live_sse,
    sse_events,
    turn_events,
)

STALLING = Reply(content=["a", "b", "c"], stall_after=1)


async def test_a_shutdown_tells_those_who_follow_the_turns_own_end(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    begun = await cut_after(server, 3)
    async with server.client.get(
        f"{server.url}/v1/ai/chat/streams/{stream_of(begun)}",
        headers={**server.bearer(), "Last-Event-ID": last_id(begun) or ""},
    ) as answer:
        await server.runner.cleanup()
        rest = await answer.read()
    *_, (end,) = (block.data.keys() for block in sse_blocks(rest))
    assert end == "error" and b"SERVICE_UNAVAILABLE" in rest
    assert [block.id for block in sse_blocks(begun + rest)][-1] is not None


async def test_an_answer_over_its_bound_cannot_be_read_again_and_its_loss_stops_it(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["x" * 3_000, "b", "c"], stall_after=2))
    async with start_server(CHUK_CHAT_STREAM_MAX_BYTES="3000") as server:
        begun = await cut_after(server, 4)
        await openrouter.wait_for_disconnect()
        status, body = await resumed(server, stream_of(begun), after=3)
        assert (status, code_of(body)) == (404, "NOT_FOUND")


async def test_after_its_time_an_answer_is_forgotten(start_server: StartServer) -> None:
    async with start_server(CHUK_CHAT_RESUME_KEEP="0") as server:
        stream = stream_of(await whole(server))
        status, body = await resumed(server, stream)
        assert (status, code_of(body)) == (404, "NOT_FOUND")


async def test_with_an_account_goes_all_that_was_kept_for_it(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a"]), STALLING)
    async with start_server(CHUK_DELETION_INTERVAL="0.05") as server:
        await whole(server)
        await cut_after(server, 3)
        streams = server.app[STREAMS]
        assert len(await streams.list(DEFAULT_USER)) == 2
        url = f"{server.url}/v1/user/delete-account"
        async with server.client.delete(url, headers=server.bearer()) as answer:
            assert answer.status == 200
        await openrouter.wait_for_disconnect()
        async with asyncio.timeout(30):
            while await streams.list(DEFAULT_USER):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_whoever_follows_an_answer_that_outgrows_its_bound_is_told_and_the_first_is_not(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "x" * 5_000, "c"], stall_after=1))
    async with (
        start_server(CHUK_CHAT_STREAM_MAX_BYTES="4000") as server,
        live_sse(server) as first,
        server.socket() as socket,
    ):
        stream = (await anext(first))["stream"]["id"]
        over_sse = asyncio.create_task(resumed(server, stream, after=1))
        await socket.send_json({"type": "resume", "stream": stream, "after": 1, "id": "x"})
        assert "meta" in await receive(socket)
        openrouter.release.set()
        *_, end = await turn_events(socket)
        assert end["id"] == "x" and end["error"]["code"] == "STREAM_INTERRUPTED"
        status, body = await over_sse
        last = sse_blocks(body)[-1]
        # Without a number: the turn itself has not ended.
        assert status == 200 and last.id is None
        assert last.data["error"]["code"] == "STREAM_INTERRUPTED"
        rest = [event async for event in first]
        assert answer_text(rest[:-1]) == "a" + "x" * 5_000 + "c" and rest[-1] == "[DONE]"


async def test_who_takes_up_an_answer_does_not_wait_for_the_connection_that_was_left(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    """A phone that changes its network leaves a connection behind that nobody reads and that does
    not break: it would hold the turn back until it counts as stalled, half a minute later."""
    pieces = [f"{number:08d}".ljust(8_192, "x") for number in range(1_500)]
    openrouter.script(Reply(content=pieces))
    async with (
        start_server(
            CHUK_CHAT_STREAM_MAX_BYTES="64000000", CHUK_CHAT_STREAM_USER_BYTES="64000000"
        ) as server,
        SlowReader(server) as left,
    ):
        await eventually(HeldBack(openrouter), timeout=20)
        (stream,) = await listed(server)
        status, body = await resumed(server, stream["id"], after=0)
        assert status == 200
        assert answer_text(sse_events(body)[:-1]) == "".join(pieces)
        left.leave()
