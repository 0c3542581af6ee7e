"""Holds of processes that died are ended once, at what the work really cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from chuk.adapters.openrouter_generations import OpenRouterGenerations
from chuk.credits.ledger import Basis, HoldRequest, Operation, Outcome, Progress
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.reconcile import Reconciled, Reconciler
from chuk.errors import ServiceUnavailable
from tests.credits.books import EURO, PRICES, USER, Time, Unreliable, receipts
from tests.fakes.openrouter import FakeOpenRouter, Fault
from tests.fakes.openrouter_replies import Generation
from tests.harness import eventually
from tests.leaders import Elected

MakeReconciler = Callable[..., Reconciler]

DELIVERED = Progress("gen-1", 40, 30, MicroEuro(700), Decimal("0.0007"))


@pytest.fixture
def make_reconciler(
    unreliable: Unreliable, time: Time, costs: OpenRouterGenerations
) -> MakeReconciler:
    def make(**options: Any) -> Reconciler:
        usual: dict[str, Any] = {
            "costs": costs,
            "owner": "process-2:reconciler",
            "interval": 15.0,
            "lease": 60.0,
            "attempts": 3,
        }
        return Reconciler(
            unreliable, PRICES, clock=time.now, sleep=time.sleep, **{**usual, **options}
        )

    return make


@pytest.fixture
def generation(openrouter: FakeOpenRouter) -> Generation:
    """What upstream knows of the work: 0.1 USD, which are 101,200 micro-euros."""
    found = Generation("gen-1", "m", "One", prompt_tokens=44, completion_tokens=33)
    found.cost = Decimal("0.1")
    openrouter.generations["gen-1"] = found
    return found


async def an_orphan(
    store: LedgerStore,
    time: Time,
    progress: Progress | None = None,
    *,
    id: str = "turn-1",  # noqa: A002
    **fields: Any,
) -> None:
    """A hold whose process has been dead for a minute."""
    usual: dict[str, Any] = {
        "user_id": USER,
        "operation": Operation.CHAT,
        "model_id": "maker/model",
        "provider_slug": "one/fp8",
        "at_most": MicroEuro(EURO),
        "at_least": MicroEuro(1),
        "allows_free_message": True,
        "owner": "process-1",
        "lease_until": time.now() - timedelta(seconds=60),
    }
    await store.open_hold(HoldRequest(id, **{**usual, **fields}))
    if progress is not None:
        await store.note_progress(id, progress)


async def test_upstreams_own_cost_is_taken(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, generation: Generation
) -> None:
    await an_orphan(store, time, DELIVERED)
    assert await make_reconciler().run_once() == Reconciled(settled=1)
    (receipt,) = await receipts(store)
    assert receipt.charged == 101_200
    usage = receipt.usage
    assert (usage.basis, usage.outcome) == (Basis.UPSTREAM, Outcome.INTERRUPTED)
    assert (usage.prompt_tokens, usage.completion_tokens) == (44, 33)
    assert (usage.cost_usd, usage.generation_id) == (Decimal("0.1"), "gen-1")
    assert (await store.purse(USER)).held == 0


async def test_nobody_pays_twice_for_one_orphan(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, generation: Generation
) -> None:
    await an_orphan(store, time, DELIVERED)
    many = [make_reconciler(owner=f"reconciler-{number}") for number in range(5)]
    done = await asyncio.gather(*(each.run_once() for each in many))
    assert sum(each.settled for each in done) == 1
    assert await make_reconciler().run_once() == Reconciled()
    assert (await store.purse(USER)).available == 10 * EURO - 101_200


async def test_what_upstream_does_not_know_yet_is_asked_again_later_and_later(
    make_reconciler: MakeReconciler,
    store: LedgerStore,
    time: Time,
    generation: Generation,
    openrouter: FakeOpenRouter,
) -> None:
    openrouter.asks_before_cost = 2
    await an_orphan(store, time, DELIVERED)
    reconciler = make_reconciler()
    for wait in (15, 30):
        assert await reconciler.run_once() == Reconciled(deferred=1)
        time.pass_by(wait - 1)
        assert await reconciler.run_once() == Reconciled()
        time.pass_by(1)
    assert await reconciler.run_once() == Reconciled(settled=1)
    assert (await receipts(store))[0].charged == 101_200


@pytest.mark.parametrize("fault", [None, Fault(status=500), Fault(body=b"nonsense")])
async def test_where_upstream_never_says_the_delivered_part_is_taken(
    make_reconciler: MakeReconciler,
    store: LedgerStore,
    time: Time,
    openrouter: FakeOpenRouter,
    fault: Fault | None,
) -> None:
    if fault is not None:
        openrouter.fail("/generation", fault)
    await an_orphan(store, time, DELIVERED)
    reconciler = make_reconciler()
    for _ in range(2):
        assert (await reconciler.run_once()).deferred == 1
        time.pass_by(600)
    assert await reconciler.run_once() == Reconciled(settled=1)
    (receipt,) = await receipts(store)
    assert (receipt.charged, receipt.usage.basis) == (700, Basis.ESTIMATE)
    assert receipt.usage.cost_usd == Decimal("0.0007")
    assert len([each for each in openrouter.requests if each.path == "/generation"]) == 3


async def test_nothing_delivered_and_no_word_from_upstream_is_given_back_and_reported(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, openrouter: FakeOpenRouter
) -> None:
    await an_orphan(store, time, Progress("gen-1"))
    reconciler = make_reconciler(attempts=1)
    assert await reconciler.run_once() == Reconciled(released=1)
    (receipt,) = await store.unknown_costs(10)
    assert (receipt.id, receipt.charged) == ("turn-1", 0)
    assert receipt.usage.basis is Basis.UNKNOWN
    assert receipt.usage.outcome is Outcome.FAILED
    assert (await store.purse(USER)).available == 10 * EURO


async def test_what_never_reached_upstream_is_given_back_at_once(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, openrouter: FakeOpenRouter
) -> None:
    await an_orphan(store, time)
    assert await make_reconciler().run_once() == Reconciled(released=1)
    (receipt,) = await receipts(store)
    assert receipt.usage.basis is Basis.NOTHING
    assert await store.unknown_costs(10) == []
    assert openrouter.requests == []


async def test_an_upstream_without_books_of_its_own_is_settled_by_what_was_noted(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time
) -> None:
    await an_orphan(store, time, DELIVERED)
    assert await make_reconciler(costs=None).run_once() == Reconciled(settled=1)
    assert (await receipts(store))[0].charged == 700


async def test_of_media_only_the_sum_is_told(
    store: LedgerStore, time: Time, make_reconciler: MakeReconciler
) -> None:
    progress = Progress(None, 0, 17, MicroEuro(79), Decimal("0.00008"))
    await an_orphan(store, time, progress, operation=Operation.SPEECH, allows_free_message=False)
    assert await make_reconciler().run_once() == Reconciled(settled=1)
    (receipt,) = await receipts(store)
    usage = receipt.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 0, 17)
    assert receipt.charged == 79


@pytest.mark.parametrize("is_delivered", [True, False])
async def test_a_free_message_is_used_up_only_if_something_was_delivered(
    make_reconciler: MakeReconciler,
    store: LedgerStore,
    time: Time,
    openrouter: FakeOpenRouter,
    is_delivered: bool,
) -> None:
    dear = MicroEuro(20 * EURO)
    progress = DELIVERED if is_delivered else Progress("gen-1")
    await an_orphan(store, time, progress, at_most=dear, at_least=dear)
    assert (await store.purse(USER)).free_used == 1
    await make_reconciler().run_once()
    assert (await store.purse(USER)).free_used == int(is_delivered)
    assert (await receipts(store))[0].charged == 0
    assert await store.unknown_costs(10) == []
    assert openrouter.requests == []


async def test_a_hold_that_this_process_still_works_for_is_left_alone(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, generation: Generation
) -> None:
    await an_orphan(store, time, DELIVERED)
    running = {"turn-1"}
    reconciler = make_reconciler(is_running=running.__contains__)
    assert await reconciler.run_once() == Reconciled(deferred=1)
    assert (await store.purse(USER)).held == EURO
    running.clear()
    time.pass_by(61)
    assert await reconciler.run_once() == Reconciled(settled=1)


async def test_a_living_process_keeps_its_holds(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time
) -> None:
    await an_orphan(store, time, DELIVERED, lease_until=time.now() + timedelta(seconds=1))
    assert await make_reconciler().run_once() == Reconciled()


async def test_one_orphan_that_cannot_be_ended_does_not_hold_up_the_others(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, unreliable: Unreliable
) -> None:
    for number in range(3):
        await an_orphan(store, time, id=f"turn-{number}")
    unreliable.loses = ["release"]
    reconciler = make_reconciler()
    assert await reconciler.run_once() == Reconciled(released=2, failed=1)
    assert await reconciler.run_once() == Reconciled(), "its claim still holds"
    time.pass_by(61)
    assert await reconciler.run_once() == Reconciled(released=1)


async def test_all_orphans_are_ended_however_many_there_are(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time
) -> None:
    for number in range(120):
        await an_orphan(store, time, id=f"turn-{number}", at_most=MicroEuro(10))
    assert await make_reconciler().run_once() == Reconciled(released=120)
    assert (await store.purse(USER)).available == 10 * EURO


async def test_it_goes_on_looking_though_the_books_were_away(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time, unreliable: Unreliable
) -> None:
    unreliable.loses = ["claim_orphans"]
    reconciler = make_reconciler()
    await reconciler.start()
    await eventually(lambda: time.slept == [15.0])
    await an_orphan(store, time)
    time.pass_by(15)
    await eventually(lambda: len(time.slept) == 2)
    assert (await store.purse(USER)).held == 0
    await reconciler.close()
    unreliable.loses = ["claim_orphans"]
    with pytest.raises(ServiceUnavailable):
        await reconciler.run_once()


async def test_a_follower_leaves_orphans_to_the_leader_until_it_leads(
    make_reconciler: MakeReconciler, store: LedgerStore, time: Time
) -> None:
    leadership = Elected()
    reconciler = make_reconciler(leadership=leadership)
    await an_orphan(store, time)
    held = (await store.purse(USER)).held
    await reconciler.start()
    await eventually(lambda: len(time.slept) == 1)
    assert (await store.purse(USER)).held == held > 0
    leadership.leads = True
    time.pass_by(15)
    await eventually(lambda: len(time.slept) == 2)
    assert (await store.purse(USER)).held == 0
    await reconciler.close()
