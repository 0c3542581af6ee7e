"""Turns, what is kept of them, and the way back to them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chuk.adapters.redis.streams import RedisStreams
from chuk.app.sealing import stream_seals
from chuk.app.sharing import Sharing
from chuk.catalog.service import Catalog
from chuk.chat.generation import Patience
from chuk.chat.meter import TurnMeter
from chuk.chat.ports import StreamStore, Upstream
from chuk.chat.recording import MemoryStreams, StreamBounds
from chuk.chat.streams import Streams
from chuk.chat.turn import Turns
from chuk.credits.service import Credits
from chuk.settings import Settings
from chuk.web.watch import Tick


@dataclass(frozen=True, slots=True)
class Streaming:
    """What the application needs of it.

    Attributes:
        store: where turns are recorded.
        local: what this process keeps by itself.
        shared: the same, where other processes can go on with them; None where there are none.
        tick: looks at the running turns, then at what was kept long enough.
        erasure: the step of a deletion that stops a user's turns and forgets them.
    """

    turns: Turns
    streams: Streams
    store: StreamStore
    local: MemoryStreams
    shared: RedisStreams | None
    tick: Tick
    erasure: TurnsErasure

    async def start(self) -> None:
        """Begin to share what is kept, where there is somebody to share it with."""
        if self.shared is not None:
            await self.shared.start()

    async def close(self) -> None:
        """Leave to others what is kept."""
        if self.shared is not None:
            await self.shared.close()

    async def drain(self) -> None:
        """End every turn of this process, then those who follow."""
        await self.turns.drain(0)
        await self.streams.drain()


def make_streaming(
    settings: Settings,
    catalog: Catalog,
    upstream: Upstream,
    credit_service: Credits,
    sharing: Sharing,
    owner: str,
    meter: TurnMeter | None = None,
) -> Streaming:
    """Put the turns of this process together.

    Args:
        owner: this process; unlike all others.
        meter: counts the turns.

    Raises:
        OSError: the data folder cannot be written.
    """
    chat = settings.chat
    local = MemoryStreams(
        StreamBounds(
            stream=chat.stream_max_bytes,
            user=chat.stream_user_bytes,
            total=chat.stream_total_bytes,
            keep=chat.resume_keep,
        )
    )
    shared = None
    if sharing.connection is not None:
        shared = RedisStreams(
            local,
            sharing.connection,
            seals=stream_seals(settings),
            process=owner,
            leadership=sharing.leadership,
            lease=settings.redis.stream_lease,
        )
    store: StreamStore = shared or local
    turns = Turns(
        catalog=catalog,
        upstream=upstream,
        credit_service=credit_service,
        patience=Patience(
            first_byte=settings.upstream.first_byte_timeout,
            between_reads=settings.upstream.read_timeout,
            silence=chat.silence_interval,
        ),
        streams=store,
        grace=chat.resume_grace,
        outlives=shared is not None,
        meter=meter,
    )

    async def tick(now: float) -> None:
        await turns.tick(now)
        await local.tick(now)

    erasure = TurnsErasure(turns, store)
    return Streaming(turns, Streams(store, turns), store, local, shared, tick, erasure)


class TurnsErasure:
    """The step of a deletion that stops what an account still pays for, and forgets it."""

    name = "turns"

    def __init__(self, turns: Turns, store: StreamStore) -> None:
        self._turns = turns
        self._store = store

    async def run(self, user_id: UUID) -> None:
        """Stop this process's turns of the user, wait for their books, keep nothing of them."""
        await self._turns.stopped(user_id)
        await self._store.erase(user_id)
