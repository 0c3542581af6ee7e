"""The stores of answers that the contract is tested on, and words to speak to them with.

async with another_process(server) as kept:
    recording = kept.writer.open("a", ADA, MODEL)
    recording.keep(1, [Started("a"), Content([b"Hello"])])
    await kept.shared()
    assert await told(kept.reader, "a") == [(1, "started"), …]
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.sealing import Seals
from chuk.adapters.redis.streams import RedisStreams
from chuk.chat.events import Content, Done, TurnEvent, count_events
from chuk.chat.ports import Kept, StreamStore
from chuk.chat.recording import MemoryStreams, StreamBounds
from chuk.leadership import Alone
from chuk.web.envelope import Profile
from chuk.web.events import event_json
from tests.redis_server import RedisServer

BOUNDS = StreamBounds(stream=20_000, user=60_000, total=200_000, keep=300.0)
KEY = bytes(range(32))

Told = list[tuple[int, bytes]]
"""Each event as a client sees it, with its number."""


@dataclass
class KeptStreams:
    """Where turns are taken down, and where somebody comes back to them.

    Attributes:
        shared: waits until the reader can know what the writer does.
    """

    writer: StreamStore
    reader: StreamStore
    shared: Callable[[], Awaitable[object]]


def redis_streams(
    server: RedisServer,
    process: str,
    *,
    bounds: StreamBounds = BOUNDS,
    key: bytes = KEY,
    lease: float = 60.0,
    patience: float = 5.0,
    timeout: float = 5.0,
) -> tuple[RedisStreams, RedisConnection]:
    """A process's store, not started, and its connection."""
    connection = RedisConnection(server.url, timeout=timeout, look_interval=0.01)
    streams = RedisStreams(
        MemoryStreams(bounds),
        connection,
        seals=Seals(key),
        process=process,
        leadership=Alone(),
        lease=lease,
        patience=patience,
    )
    return streams, connection


@asynccontextmanager
async def running(
    server: RedisServer,
    process: str,
    *,
    bounds: StreamBounds = BOUNDS,
    key: bytes = KEY,
    lease: float = 60.0,
    patience: float = 5.0,
    timeout: float = 5.0,
) -> AsyncIterator[RedisStreams]:
    """A process's store, at work."""
    streams, connection = redis_streams(
        server,
        process,
        bounds=bounds,
        key=key,
        lease=lease,
        patience=patience,
        timeout=timeout,
    )
    await streams.start()
    try:
        yield streams
    finally:
        await streams.close()
        await connection.close()


@asynccontextmanager
async def memory(_server: Callable[[], RedisServer]) -> AsyncIterator[KeptStreams]:
    """One process without Redis."""
    streams = MemoryStreams(BOUNDS)
    yield KeptStreams(streams, streams, _at_once)


@asynccontextmanager
async def own_process(server: Callable[[], RedisServer]) -> AsyncIterator[KeptStreams]:
    """One process with Redis."""
    async with running(server(), "one") as streams:
        yield KeptStreams(streams, streams, streams.shipper.flush)


@asynccontextmanager
async def another_process(server: Callable[[], RedisServer]) -> AsyncIterator[KeptStreams]:
    """Two processes: one writes, the other reads."""
    async with running(server(), "one") as writer, running(server(), "two") as reader:
        yield KeptStreams(writer, reader, writer.shipper.flush)


async def _at_once() -> None:
    """What is kept is known."""


Store = Callable[[Callable[[], RedisServer]], AbstractAsyncContextManager[KeptStreams]]
STORES: dict[str, Store] = {
    "memory": memory,
    "redis": own_process,
    "redis, from another process": another_process,
}


def seen(kept: Sequence[Kept]) -> Told:
    """These as a client sees them, one by one."""
    told: Told = []
    for first, events in kept:
        number = first
        for event in events:
            shown = [b"done"] if isinstance(event, Done) else event_json(event, Profile.ENVELOPE)
            told += enumerate(shown, number)
            number += count_events((event,))
    return told


async def told(streams: StreamStore, stream_id: str, after: int = 0) -> Told:
    """All that a client is told who comes back after an event, up to the end."""
    async with asyncio.timeout(30), aclosing(streams.follow(stream_id, after)) as following:
        return seen([kept async for kept in following])


async def next_told(following: AsyncGenerator[Kept, None], count: int) -> Told:
    """So many events more, as a client sees them."""
    arrived: Told = []
    async with asyncio.timeout(30):
        while len(arrived) < count:
            arrived += seen([await anext(following)])
    return arrived


def answer(*pieces: bytes, end: TurnEvent | None = None) -> list[TurnEvent]:
    """Pieces of an answer, each in an event of its own, and its end."""
    events: list[TurnEvent] = [Content([piece]) for piece in pieces]
    return events if end is None else [*events, end]
