"""A turn whose upstream and whose listeners do exactly what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import orjson

from chuk.catalog.models import Model, Pricing, Provider
from chuk.chat.books import TurnBooks
from chuk.chat.command import ChatCommand, CompletionRequest, Message
from chuk.chat.events import Content, TurnEvent, UpstreamEvent, count_events
from chuk.chat.generation import Generation, Patience
from chuk.chat.grace import Grace
from chuk.chat.ports import Recording, Take, Upstream, Wait
from chuk.chat.resolution import resolve
from chuk.credits.ledger import Hold, HoldRequest, Progress, Resolved, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.pricing import PriceList
from chuk.credits.service import Credits

MODEL = Model(
    "maker/model",
    "Model",
    "",
    8_000,
    (
        Provider("one/fp8", "One", Pricing(Decimal("1e-6"), Decimal("2e-6")), 8_000),
        Provider("one/bf16", "One", Pricing(Decimal("3e-6"), Decimal("3e-6")), 8_000),
        Provider("two", "Two", Pricing(Decimal("5e-6"), Decimal("5e-6")), 8_000),
    ),
)
PATIENCE = Patience(first_byte=120, between_reads=60, silence=20)


def says(text: str) -> Content:
    """One piece of content."""
    return Content([orjson.dumps(text)[1:-1]])


class ScriptedUpstream:
    """Hands on what is given to it; raises what is an exception; ends at None.

    Attributes:
        is_open: whether a completion is being read.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._batches: asyncio.Queue[Sequence[UpstreamEvent] | BaseException | None] = (
            asyncio.Queue()
        )

    def gives(self, *batches: Sequence[UpstreamEvent] | BaseException | None) -> None:
        """What is read next, one read each."""
        for batch in batches:
            self._batches.put_nowait(batch)

    async def complete(self, request: CompletionRequest, take: Take) -> None:
        """See `chuk.chat.ports.Upstream.complete`."""
        self.is_open = True
        try:
            while (batch := await self._batches.get()) is not None:
                if isinstance(batch, BaseException):
                    raise batch
                if (wait := take(batch)) is not None:
                    await wait()
        finally:
            self.is_open = False


class PushedUpstream:
    """Hands on what it is given in that very call, as a real one does in the socket's callback."""

    def __init__(self) -> None:
        self._take: Take | None = None
        self._waits: asyncio.Queue[Wait | None] = asyncio.Queue()

    def pushes(self, batch: Sequence[UpstreamEvent]) -> None:
        """One read; only for a turn that has begun."""
        assert self._take is not None
        if (wait := self._take(batch)) is not None:
            self._waits.put_nowait(wait)

    def ends(self) -> None:
        """Nothing follows."""
        self._waits.put_nowait(None)

    async def complete(self, request: CompletionRequest, take: Take) -> None:
        """See `chuk.chat.ports.Upstream.complete`."""
        self._take = take
        while (wait := await self._waits.get()) is not None:
            await wait()


class Listener:
    """Keeps what it is told, and checks the numbers.

    Attributes:
        events: so far.
        may_go_on: while it is not set, deliveries wait, as for a slow client.
        gone: deliveries fail, as for a client that has left.
    """

    def __init__(self) -> None:
        self.events: list[TurnEvent] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.gone = False

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        if self.gone:
            raise ConnectionResetError
        assert first_number == count_events(self.events) + 1
        self.events += events
        return None if self.may_go_on.is_set() else self._waits

    async def _waits(self) -> None:
        await self.may_go_on.wait()
        if self.gone:
            raise ConnectionResetError

    def cut(self) -> None:
        """See `chuk.chat.ports.Subscriber.cut`."""
        self.gone = True
        self.may_go_on.set()

    def kinds(self) -> list[str]:
        """The names of the events so far."""
        return [type(event).__name__ for event in self.events]


class OneTurnsLedger:
    """Holds whatever is asked, and notes how each hold ends; what a turn asks of a ledger.

    As with a real one, an answer takes a moment, and who is cancelled meanwhile gets none.

    Attributes:
        opened: ids of all holds there ever were.
        ends: by hold id, `settled` or `released`.
    """

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.ends: dict[str, str] = {}

    async def open_hold(self, request: HoldRequest) -> Hold:
        await asyncio.sleep(0)
        self.opened.add(request.id)
        return Hold(request.id, request.user_id, request.at_most, is_free_message=False)

    async def note_progress(self, hold_id: str, progress: Progress) -> None:
        assert hold_id not in self.ends

    async def settle(self, hold_id: str, cost: MicroEuro, usage: UsageRecord) -> Resolved:
        await asyncio.sleep(0)
        return self._ended(hold_id, "settled", cost)

    async def release(self, hold_id: str, usage: UsageRecord) -> Resolved:
        await asyncio.sleep(0)
        return self._ended(hold_id, "released", MicroEuro(0))

    def _ended(self, hold_id: str, end: str, charged: MicroEuro) -> Resolved:
        assert hold_id not in self.ends
        self.ends[hold_id] = end
        return Resolved(charged, is_new=True)


def a_turn(
    upstream: Upstream,
    ledger: OneTurnsLedger | None = None,
    *,
    stream_id: str | None = None,
    recording: Recording | None = None,
    grace: Grace | None = None,
    **fields: Any,
) -> Generation:
    """A turn that has not begun."""
    command = ChatCommand("maker/model", (Message("user", "Hello"),), **fields)
    credit_service = Credits(
        cast(LedgerStore, ledger or OneTurnsLedger()),
        PriceList(Decimal(1), Decimal(0)),
        owner="test",
        hold_lease=60,
    )
    return Generation(
        owner=UUID(int=1),
        resolution=resolve(command, MODEL),
        tags={},
        upstream=upstream,
        books=TurnBooks(credit_service),
        patience=PATIENCE,
        stream_id=stream_id,
        recording=recording,
        grace=grace,
    )


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
