"""Whatever the network does, a client that comes back has the whole answer, and pays it once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chuk.api.keys import LEDGER
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, answer_text, eventually
from tests.network.client import read_over_socket, read_over_sse
from tests.network.proxy import Cut, Loss, cutting_proxy
from tests.redis_server import PATIENTLY, RedisServer

Reader = Callable[[str, dict[str, str], str, str], Awaitable[list[Any]]]

# Text of its own in every piece, so that one that is missing or comes twice shows.
PIECES = [f" {number}·" for number in range(24)]
# From before the answer's first byte to beyond its last one.
_CUTS = st.lists(
    st.builds(Cut, after=st.integers(0, 2_600), loss=st.sampled_from(Loss)), max_size=6
)
# A socket's upgrade is answered before the turn: nothing of a turn can arrive late.
_SOCKET_CUTS = st.lists(
    st.builds(Cut, after=st.integers(0, 1_600), loss=st.sampled_from([Loss.BOTH, Loss.CLIENT])),
    max_size=6,
)


async def reads_whole_and_pays_once(
    server: RunningServer, openrouter: FakeOpenRouter, read: Reader, cuts: list[Cut]
) -> None:
    """One turn through a network that does this."""
    user = uuid4()
    await server.fund(1, user)
    openrouter.script(Reply(content=PIECES, pieces_per_write=1))
    asked = len(completions(openrouter))
    async with cutting_proxy(server.url, cuts) as url:
        events = await read(url, server.bearer(user, seconds=600), str(uuid4()), "Count.")
    assert answer_text(events[:-1]) == "".join(PIECES)
    assert [name for event in events[:-1] for name in event].count("usage") == 1
    assert len(completions(openrouter)) == asked + 1
    ledger = server.app[LEDGER]
    (receipt,) = await ledger.receipts(user, before=None, limit=10)
    purse = await ledger.purse(user)
    assert purse.held == 0
    assert purse.available == 1_000_000 - receipt.charged
    assert receipt.charged > 0


def completions(openrouter: FakeOpenRouter) -> list[Any]:
    """The answers that upstream was asked for."""
    return [each for each in openrouter.requests if each.path.endswith("/chat/completions")]


async def holds_for_every_network(
    server: RunningServer,
    openrouter: FakeOpenRouter,
    read: Reader,
    cuts: st.SearchStrategy[list[Cut]],
    examples: int,
) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cuts)
    def every_network(script: list[Cut]) -> None:
        turn = reads_whole_and_pays_once(server, openrouter, read, script)
        asyncio.run_coroutine_threadsafe(turn, loop).result(20)

    await asyncio.to_thread(every_network)
    assert await server.app[LEDGER].verify() == []


LIMITS = {"CHUK_LIMIT_CHAT": "100000", "CHUK_LIMIT_OTHER": "100000"}


async def test_a_cut_answer_is_read_on_over_sse(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    async with start_server(**LIMITS) as server:
        await holds_for_every_network(server, openrouter, read_over_sse, _CUTS, 60)


async def test_a_cut_answer_is_read_on_over_websockets(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    async with start_server(**LIMITS) as server:
        await holds_for_every_network(server, openrouter, read_over_socket, _SOCKET_CUTS, 60)


@pytest.mark.parametrize(
    ("read", "cuts"), [(read_over_sse, _CUTS), (read_over_socket, _SOCKET_CUTS)]
)
async def test_a_cut_answer_is_read_on_where_redis_keeps_it(
    start_server: StartServer,
    openrouter: FakeOpenRouter,
    redis_server: RedisServer,
    read: Reader,
    cuts: st.SearchStrategy[list[Cut]],
) -> None:
    async with start_server(REDIS_URL=redis_server.url, **PATIENTLY, **LIMITS) as server:
        await holds_for_every_network(server, openrouter, read, cuts, 30)


async def test_an_answer_that_is_cut_after_each_of_its_bytes_is_whole(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    """Every place there is, where the network breaks once: not only those that chance finds."""
    async with start_server(**LIMITS) as server:
        for after in range(0, 2_600, 13):
            await reads_whole_and_pays_once(
                server, openrouter, read_over_sse, [Cut(after, Loss.BOTH)]
            )
        await eventually(lambda: openrouter.open_completions == 0)
        assert await server.app[LEDGER].verify() == []
