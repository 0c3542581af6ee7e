"""A turn whose upstream and whose listeners do exactly what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from chuk.catalog.models import Model, Pricing, Provider
from chuk.chat.command import ChatCommand, CompletionRequest, Message
from chuk.chat.events import Content, TurnEvent, UpstreamEvent, count_events
from chuk.chat.generation import Generation, Patience
from chuk.chat.ports import Take, Wait
from chuk.chat.resolution import resolve
from chuk.credits.pricing import PriceList

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

    def kinds(self) -> list[str]:
        """The names of the events so far."""
        return [type(event).__name__ for event in self.events]


def a_turn(upstream: ScriptedUpstream, **fields: Any) -> Generation:
    """A turn that has not begun."""
    command = ChatCommand("maker/model", (Message("user", "Hello"),), **fields)
    return Generation(
        owner=UUID(int=1),
        resolution=resolve(command, MODEL),
        upstream=upstream,
        prices=PriceList(Decimal(1), Decimal(0)),
        patience=PATIENCE,
    )


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
