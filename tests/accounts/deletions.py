"""What tests of deletions share: time in hand, steps that fail, a store that can be cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from chuk.accounts.deletion import DeletionPace, Deletions, Records
from chuk.accounts.locks import LockedAccounts
from chuk.accounts.ports import DeletionStep, DeletionStore
from chuk.errors import ServiceUnavailable

USER = UUID("5b1f2a52-6f3c-4f0e-9d55-3a1d0c7e8f11")
OTHER = UUID("0c9a2b7e-2f64-4f35-8d0f-6f3d2b1a9c22")
SALT = b"salt of the logs"
PACE = DeletionPace(interval=5, first_retry=5, longest_retry=60, lease=60, at_once=5)


class Time:
    """A clock that goes when it is told to; also the loop's time, in seconds."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Step:
    """A step that remembers for whom it ran.

    Attributes:
        fails_with: raised by the next runs, one after the other, before anything is done.
        gate: waited for before it does its work; open unless a test closes it.
        began: set as soon as it runs.
        journal: where the steps of one test write their names, in the order they finish.
    """

    def __init__(self, name: str, journal: list[str]) -> None:
        self.name = name
        self.journal = journal
        self.fails_with: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.began = asyncio.Event()
        self.users: list[UUID] = []

    async def run(self, user_id: UUID) -> None:
        self.began.set()
        await self.gate.wait()
        if self.fails_with:
            raise self.fails_with.pop(0)
        self.users.append(user_id)
        self.journal.append(self.name)


class Line:
    """The real store behind a line that can be cut.

    Attributes:
        asked: the name and the arguments of each call, in order.
        cut: calls that do not reach the store.
        deaf: calls that reach it, and whose answer is lost.
    """

    def __init__(self, store: DeletionStore) -> None:
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.cut: Collection[str] = ()
        self.deaf: Collection[str] = ()
        self._store = store

    def count(self, name: str) -> int:
        """How often this was asked."""
        return len(self.calls(name))

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of this name."""
        return [arguments for asked, arguments in self.asked if asked == name]

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any) -> Any:
            self.asked.append((name, arguments))
            if name in self.cut:
                raise ServiceUnavailable
            answer = await getattr(self._store, name)(*arguments)
            if name in self.deaf:
                raise ServiceUnavailable
            return answer

        return call


EVERYTHING = (
    "begin",
    "is_locked",
    "locked_since",
    "claim_due",
    "mark_done",
    "retry_at",
    "erase_records",
    "finish",
)


class Process:
    """One process: its line to the store, its own steps, locks and deletions."""

    def __init__(self, store: DeletionStore, time: Time, name: str, **options: Any) -> None:
        self.line = Line(store)
        self.journal: list[str] = []
        self.stopped: list[UUID] = []
        self.turns = Step("turns", self.journal)
        self.subscription = Step("subscription", self.journal)
        self.files = Step("files", self.journal)
        self.sign_in = Step("sign_in", self.journal)
        self.locks = LockedAccounts(
            self.line, on_locked=self.stopped.append, clock=time, loop_time=time.seconds
        )
        self._options = {"pace": PACE, "owner": name, "clock": time, **options}
        self.deletions = self.with_steps(self.steps)

    @property
    def steps(self) -> list[DeletionStep]:
        """As the application lines them up."""
        return [self.turns, self.subscription, self.files, Records(self.line), self.sign_in]

    def with_steps(self, steps: Sequence[DeletionStep]) -> Deletions:
        """The same with other steps."""
        return Deletions(self.line, steps, locks=self.locks, log_salt=SALT, **self._options)

    def step(self, name: str) -> Step:
        """The step of this name; `records` is the real one, and none of these."""
        step: Step = getattr(self, name)
        return step

    async def die(self) -> None:
        """End as a killed process does: from now on nothing of it reaches the store."""
        self.line.cut = EVERYTHING
        await self.deletions.close()
