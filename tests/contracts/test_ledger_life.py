"""The ledger through any life, beside a simple model of it: after every step the two agree."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from chuk.credits.ledger import Basis, Hold, Outcome
from chuk.credits.money import MicroEuro
from chuk.errors import ChukError, InsufficientCredits, QuotaExceeded
from tests.contracts.stores import (
    ADA,
    FREE_MESSAGES,
    STORES,
    BooksUnderTest,
    hold_request,
    kept_key,
    usage,
)

AMOUNTS = st.integers(0, 5_000)
COSTS = st.integers(0, 3_000)
BUDGET = 9_000
MONTHS = st.none() | st.integers(1, 6)

Answer = TypeVar("Answer")


@dataclass
class ModelHold:
    """What the model knows of a hold."""

    amount: int
    is_free: bool
    lapses: bool = False
    by_key: bool = False


@dataclass
class ModelGrant:
    """What the model knows of a grant; `epoch` None: it came too late."""

    amount: int
    epoch: int | None
    taken: int = 0
    asked: int = 0


@dataclass
class ModelTakeBack:
    """What the model knows of a part of a grant that was taken back."""

    grant: str
    taken: int
    asked: int
    given: int | None = None


@dataclass
class Model:
    """The purse as the port describes it.

    Attributes:
        excess: by how much the last turn that ended cost more than its hold.
        key_spent: settled through the only API key, by month.
    """

    available: int = 0
    allocated: int = 0
    month: int | None = None
    epoch: int = 0
    free_used: int = 0
    excess: int = 0
    holds: dict[str, ModelHold] = field(default_factory=dict)
    grants: dict[str, ModelGrant] = field(default_factory=dict)
    refunds: dict[str, ModelTakeBack] = field(default_factory=dict)
    key_spent: Counter[tuple[int, int]] = field(default_factory=Counter)

    def key_left(self, now: datetime) -> int:
        held = sum(hold.amount for hold in self.holds.values() if hold.by_key)
        return BUDGET - self.key_spent[now.year, now.month] - held

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.holds.values())

    def hold(
        self, name: str, at_most: int, at_least: int, free: bool, key_left: int | None
    ) -> Hold | type[ChukError]:
        if at_most == 0:
            amount, is_free = 0, False
        elif self.available >= max(1, at_least):
            amount, is_free = min(at_most, self.available), False
            if key_left is not None:
                if key_left < max(1, at_least):
                    return QuotaExceeded
                amount = min(amount, key_left)
        elif free and self.free_used < FREE_MESSAGES:
            amount, is_free = 0, True
        else:
            return InsufficientCredits
        self.available -= amount
        self.free_used += is_free
        self.holds[name] = ModelHold(amount, is_free, by_key=key_left is not None)
        return Hold(name, ADA, MicroEuro(amount), is_free)

    def end(self, name: str, cost: int | None, now: datetime) -> int:
        hold = self.holds.pop(name)
        charged = 0 if cost is None or hold.is_free else cost
        if hold.by_key:
            self.key_spent[now.year, now.month] += charged
        if cost is None and hold.is_free:
            self.free_used -= 1
        rest = hold.amount - charged
        if not hold.lapses or rest < 0:
            self.available += rest
        self.excess = max(0, -rest)
        return charged

    def grant(self, name: str, amount: int, month: int | None) -> None:
        if month is not None and self.month is not None and month < self.month:
            self.grants[name] = ModelGrant(amount, None)
            return
        if month is not None and self.month is not None and month > self.month:
            self.lapse()
        self.available += amount
        self.allocated += amount
        self.month = month or self.month
        self.grants[name] = ModelGrant(amount, self.epoch)

    def lapse(self) -> int:
        lapsed = max(0, self.available)
        self.available -= lapsed
        self.allocated = 0
        self.epoch += 1
        self._mark_holds()
        return lapsed

    def take_back(self, grant_name: str, amount: int, name: str) -> int:
        grant = self.grants[grant_name]
        taken = 0
        if grant.epoch == self.epoch:
            taken = max(0, min(amount, grant.amount - grant.taken, self.available))
            if grant.asked + amount >= grant.amount:
                self._mark_holds()
        grant.taken += taken
        grant.asked += amount
        self.available -= taken
        self.refunds[name] = ModelTakeBack(grant_name, taken, amount)
        return taken

    def give_back(self, name: str) -> int:
        refund = self.refunds[name]
        if refund.given is None:
            grant = self.grants[refund.grant]
            refund.given = refund.taken if grant.epoch == self.epoch else 0
            grant.taken -= refund.given
            grant.asked -= refund.asked
            self.available += refund.given
        return refund.given

    def _mark_holds(self) -> None:
        for hold in self.holds.values():
            hold.lapses = True


class LedgerLife(RuleBasedStateMachine):
    """One person's life, over one store."""

    store = "sqlite"

    holds = Bundle("holds")
    grants = Bundle("grants")
    refunds = Bundle("refunds")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.names = 0
        self.available_before = 0
        # What was called, and what it answered when it was called again.
        self.calls: list[tuple[Callable[[], Awaitable[Any]], Any]] = []
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.books: BooksUnderTest = self.run(
            self.stack.enter_async_context(STORES[self.store](Path(folder)))
        )
        self.key = self.run(kept_key(self.books, budget=BUDGET))

    def teardown(self) -> None:
        self.run(self.stack.aclose())
        self.runner.close()

    def run(self, work: Awaitable[Answer]) -> Answer:
        async def wait() -> Answer:
            return await work

        return self.runner.run(wait())

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind} {self.names}"

    def call(self, work: Callable[[], Awaitable[Any]], again: Callable[[Any], Any]) -> Any:
        """Call the store, and keep what a repeat must answer."""
        answer = self.run(work())
        self.calls.append((work, again(answer)))
        return answer

    @rule(target=grants, amount=AMOUNTS, month=MONTHS)
    def grant(self, amount: int, month: int | None) -> str:
        name = self.name("grant")
        period = None if month is None else datetime(2026, month, 1, tzinfo=UTC)
        ledger = self.books.ledger
        given = self.call(
            lambda: ledger.grant(ADA, MicroEuro(amount), name, period), lambda _: False
        )
        assert given
        self.model.grant(name, amount, month)
        return name

    @rule(
        target=holds,
        at_most=AMOUNTS,
        at_least=st.integers(0, 900),
        free=st.booleans(),
        by_key=st.booleans(),
    )
    def hold(self, at_most: int, at_least: int, free: bool, by_key: bool) -> str:
        name = self.name("turn")
        key = self.key if by_key else None
        request = hold_request(name, at_most, at_least, free=free, key=key)
        key_left = self.model.key_left(self.books.clock.now) if by_key else None
        expected = self.model.hold(name, at_most, at_least, free, key_left)
        if isinstance(expected, type):
            with pytest.raises(expected):
                self.run(self.books.ledger.open_hold(request))
        else:
            open_hold = self.books.ledger.open_hold
            assert self.call(lambda: open_hold(request), lambda hold: hold) == expected
        return name

    @rule(name=consumes(holds), cost=COSTS)
    def settle(self, name: str, cost: int) -> None:
        self.end(name, cost)

    @rule(name=consumes(holds))
    def release(self, name: str) -> None:
        self.end(name, None)

    def end(self, name: str, cost: int | None) -> None:
        ledger, record = self.books.ledger, usage(outcome=Outcome.COMPLETED, basis=Basis.TOKENS)

        def end() -> Awaitable[Any]:
            if cost is None:
                return ledger.release(name, record)
            return ledger.settle(name, MicroEuro(cost), record)

        if name not in self.model.holds:
            with pytest.raises(LookupError):
                self.run(end())
            return
        charged = self.model.end(name, cost, self.books.clock.now)
        resolved = self.call(end, lambda answer: type(answer)(answer.charged, False))
        assert (resolved.charged, resolved.is_new) == (charged, True)

    @rule()
    def lapse(self) -> None:
        name, ledger = self.name("end"), self.books.ledger
        # The purse is there before, as it is in any life.
        self.run(ledger.purse(ADA))
        assert self.call(lambda: ledger.lapse(ADA, name), lambda _: 0) == self.model.lapse()

    @rule(target=refunds, grant=grants, amount=AMOUNTS)
    def take_back(self, grant: str, amount: int) -> str:
        name, ledger = self.name("refund"), self.books.ledger
        taken = self.call(
            lambda: ledger.take_back(ADA, grant, MicroEuro(amount), name), lambda answer: answer
        )
        assert taken == self.model.take_back(grant, amount, name)
        return name

    @rule(refund=refunds)
    def give_back(self, refund: str) -> None:
        ledger = self.books.ledger
        given = self.call(lambda: ledger.give_back(ADA, refund), lambda answer: answer)
        assert given == self.model.give_back(refund)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        if self.calls:
            work, expected = data.draw(st.sampled_from(self.calls))
            assert self.run(work()) == expected

    @rule(hours=st.integers(1, 1_000))
    def time_passes(self, hours: int) -> None:
        self.books.clock.move(hours=hours)

    @invariant()
    def the_model_agrees(self) -> None:
        purse = self.run(self.books.ledger.purse(ADA))
        model = self.model
        assert (purse.available, purse.held, purse.allocated, purse.free_used) == (
            model.available,
            model.held,
            model.allocated,
            model.free_used,
        )
        assert (purse.period.month if purse.period else None) == model.month

    @invariant()
    def the_key_has_what_its_budget_leaves(self) -> None:
        left = self.run(self.books.ledger.key_budget_left(self.key.id))
        assert left == self.model.key_left(self.books.clock.now)

    @invariant()
    def no_step_takes_more_than_there_is_but_for_one_turns_excess(self) -> None:
        assert self.model.available >= min(0, self.available_before) - self.model.excess
        self.available_before, self.model.excess = self.model.available, 0

    @invariant()
    def the_books_prove_themselves(self) -> None:
        assert list(self.run(self.books.ledger.verify())) == []


def life_on(store: str, *, lives: int, steps: int) -> None:
    """Live some lives on this store."""
    machine = type(f"LedgerLifeOn{store}", (LedgerLife,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_sqlite_ledger_lives_as_the_model_does() -> None:
    life_on("sqlite", lives=40, steps=40)


def test_the_supabase_ledger_lives_as_the_model_does() -> None:
    life_on("supabase", lives=5, steps=30)
