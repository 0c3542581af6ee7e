"""A client that leaves for good stops upstream; one that reads slowly holds it back.

Without a grace time: what it changes is said in `test_streams`.
"""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from itertools import islice

import pytest

from tests.api.slow_reader import HeldBack, SlowReader, text_frames
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, answer_text, eventually, live_sse

_PIECE = 8_192
_PIECES = 4_000
_MEGABYTE = 1_000_000


@pytest.fixture
async def server(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server whose turns stop as soon as their client is lost."""
    async with start_server(CHUK_RESUME_GRACE="0") as running:
        yield running


def long_answer() -> Iterator[str]:
    """32 MB of text, a different piece each time."""
    return (f"{number:08d}".ljust(_PIECE, "x") for number in range(_PIECES))


@pytest.mark.parametrize("over_socket", [False, True])
@pytest.mark.parametrize(
    "reply", [Reply(never_answer=True), Reply(stall_after=0), Reply(stall_after=2)]
)
async def test_a_client_that_leaves_stops_its_upstream_and_leaves_nothing_behind(
    server: RunningServer, openrouter: FakeOpenRouter, reply: Reply, over_socket: bool
) -> None:
    await server.chat("So that a connection to upstream is there before.")
    openrouter.script(reply)
    before = asyncio.all_tasks()
    async with SlowReader(server, upgrade=over_socket) as client:
        await openrouter.wait_until(lambda: openrouter.open_completions == 1)
        client.leave()
        await openrouter.wait_for_disconnect()
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_closing_a_response_in_the_middle_stops_upstream(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    async with live_sse(server) as events:
        while (await anext(events)) != {"content": "a"}:
            pass
    await openrouter.wait_for_disconnect()


async def test_others_go_on_when_one_leaves(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(*[Reply(content=["a", "b"], stall_after=1)] * 2)
    async with live_sse(server) as stays:
        assert "stream" in await anext(stays)
        async with live_sse(server) as leaves:
            assert "stream" in await anext(leaves)
        await openrouter.wait_for_disconnect()
        openrouter.release.set()
        rest = [event async for event in stays]
    assert answer_text(rest[:-1]) == "ab" and rest[-1] == "[DONE]"
    assert openrouter.disconnects == 1


@pytest.mark.parametrize("over_socket", [False, True])
async def test_a_client_that_reads_nothing_holds_upstream_back_and_is_cut(
    start_server: StartServer, openrouter: FakeOpenRouter, over_socket: bool
) -> None:
    openrouter.script(Reply(content=long_answer()))
    async with (
        start_server(CHUK_CHAT_STALL_TIMEOUT="1", CHUK_RESUME_GRACE="0") as server,
        SlowReader(server, upgrade=over_socket) as client,
    ):
        tracemalloc.start()
        try:
            await eventually(HeldBack(openrouter), timeout=20)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Most of what was sent lies in the kernel's buffers; of ours and of the stand-in's
        # together there is less than ours alone may be.
        assert held < _MEGABYTE
        (record,) = openrouter.completions
        assert record.pieces_sent < _PIECES / 2
        await openrouter.wait_for_disconnect()
        assert not (await client.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("over_socket", [False, True])
async def test_a_client_that_reads_slowly_is_not_cut(
    start_server: StartServer, openrouter: FakeOpenRouter, over_socket: bool
) -> None:
    openrouter.script(Reply(content=long_answer()))
    async with (
        start_server(CHUK_CHAT_STALL_TIMEOUT="0.3") as server,
        SlowReader(server, upgrade=over_socket) as client,
    ):
        loop = asyncio.get_running_loop()
        # Longer than the time that a client may stall, in steps shorter than it.
        until = loop.time() + 1.0
        while loop.time() < until:
            assert await client.read(32_768)
            await asyncio.sleep(0.02)
        (record,) = openrouter.completions
        assert record.outcome == "open"
        assert record.pieces_sent < _PIECES / 2


async def test_a_cancel_reaches_a_turn_whose_client_reads_slowly_and_the_order_holds(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=long_answer()))
    async with SlowReader(server, upgrade=True) as client:
        await eventually(HeldBack(openrouter), timeout=20)
        await client.say({"type": "cancel"})
        await openrouter.wait_for_disconnect()
        received = b""
        while not received.endswith(b'{"done":true}'):
            received += await client.read()
    stream, meta, *pieces, usage, tps, done = map(json.loads, text_frames(received))
    assert "stream" in stream and "meta" in meta
    assert [piece["content"] for piece in pieces] == list(islice(long_answer(), len(pieces)))
    assert usage["usage"]["finish_reason"] == "cancelled"
    assert "tps" in tps and done == {"done": True}
