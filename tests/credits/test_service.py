"""Work is paid for once, whatever happens to it, to its caller or to the books."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chuk.adapters.openrouter_generations import OpenRouterGenerations
from chuk.credits.ledger import Basis, Outcome, Progress
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import InsufficientCredits, ProviderError, ServiceUnavailable
from tests.credits.books import EURO, USER, Time, Unreliable, a_usage, an_order, receipts
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.openrouter_replies import Generation
from tests.harness import eventually

MakeCredits = Callable[..., Credits]


async def test_what_is_settled_inside_is_taken_and_the_rest_is_given_back(
    make_credits: MakeCredits, store: LedgerStore
) -> None:
    service = make_credits()
    async with service.hold(an_order()) as payment:
        assert (await store.purse(USER)).available == 9 * EURO
        assert await payment.settle(MicroEuro(EURO // 4), a_usage()) == EURO // 4
    assert (await store.purse(USER)).available == 10 * EURO - EURO // 4
    (receipt,) = await receipts(store)
    assert (receipt.id, receipt.held, receipt.charged) == ("work-1", EURO, EURO // 4)
    assert not service.is_open("work-1")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.FAILED),
        (ProviderError(), Outcome.FAILED),
        (ZeroDivisionError(), Outcome.FAILED),
        (asyncio.CancelledError(), Outcome.CANCELLED),
    ],
)
async def test_leaving_it_unsettled_gives_all_of_it_back(
    make_credits: MakeCredits,
    store: LedgerStore,
    error: BaseException | None,
    outcome: Outcome,
) -> None:
    async def work() -> None:
        async with make_credits().hold(an_order()):
            if error is not None:
                raise error

    if error is None:
        await work()
    else:
        with pytest.raises(type(error)):
            await work()
    assert (await store.purse(USER)).available == 10 * EURO
    (receipt,) = await receipts(store)
    assert (receipt.charged, receipt.usage.basis) == (0, Basis.NOTHING)
    assert receipt.usage.outcome is outcome


async def test_a_hold_is_ended_once(make_credits: MakeCredits) -> None:
    async with make_credits().hold(an_order()) as payment:
        await payment.release(a_usage())
        with pytest.raises(RuntimeError):
            await payment.settle(MicroEuro(1), a_usage())
        with pytest.raises(RuntimeError):
            payment.settle_when_known(MicroEuro(1), a_usage())


async def test_who_has_too_little_is_refused_before_the_work(
    make_credits: MakeCredits, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    dear = an_order(at_most=MicroEuro(30 * EURO), at_least=MicroEuro(20 * EURO))
    with pytest.raises(InsufficientCredits) as refused:
        async with service.hold(dear):
            pytest.fail("the work was begun")
    assert refused.value.details == {"required": 20.0, "available": 10.0, "operation": "image"}
    assert not service.is_open(dear.id)
    assert await receipts(store) == [] and time.slept == []


# Leases.


async def test_leases_are_renewed_while_holds_are_open_and_no_longer(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    await service.start()
    await eventually(lambda: time.slept == [20.0])
    time.pass_by(20)
    await eventually(lambda: len(time.slept) == 2)
    assert "renew_leases" not in unreliable.calls
    payment = await service.open(an_order())
    for beats in range(1, 7):
        time.pass_by(20)
        await eventually(lambda: unreliable.calls.count("renew_leases") == beats)  # noqa: B023
        await eventually(lambda: len(time.slept) == 2 + beats)  # noqa: B023
    # Two minutes: twice its first lease.
    assert await store.claim_orphans("other", time.now(), time.now(), 10) == []
    await payment.release(a_usage())
    time.pass_by(20)
    await eventually(lambda: len(time.slept) == 9)
    assert unreliable.calls.count("renew_leases") == 6


async def test_a_lease_that_could_not_be_renewed_is_renewed_the_next_time(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    await service.start()
    payment = await service.open(an_order())
    unreliable.loses = ["renew_leases"]
    for beats in range(1, 4):
        await eventually(lambda: len(time.slept) == beats)  # noqa: B023
        time.pass_by(20)
        await eventually(lambda: unreliable.calls.count("renew_leases") == beats)  # noqa: B023
    await eventually(lambda: len(time.slept) == 4)
    time.pass_by(19)
    assert await store.claim_orphans("other", time.now(), time.now(), 10) == []
    await payment.release(a_usage())


async def test_a_process_that_has_ended_renews_nothing(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    await service.start()
    await service.open(an_order())
    await service.close()
    time.pass_by(61)
    orphans = await store.claim_orphans("other", time.now(), time.now(), 10)
    assert [orphan.hold.id for orphan in orphans] == ["work-1"]
    assert "renew_leases" not in unreliable.calls


# Books that fail.


async def test_a_settlement_that_fails_is_tried_until_it_is_written(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    payment = await service.open(an_order())
    unreliable.loses = ["settle"] * 4
    assert await payment.settle(MicroEuro(EURO // 2), a_usage()) == EURO // 2
    assert service.unsettled == 1
    assert service.is_open("work-1"), "its lease must still be renewed"
    assert (await store.purse(USER)).available == 9 * EURO

    async def is_written() -> bool:
        return not service.is_open("work-1")

    await time.pass_until(is_written)
    assert time.slept == [1.0, 2.0, 4.0, 8.0]
    assert (await store.purse(USER)).available == 10 * EURO - EURO // 2
    assert service.unsettled == 1


async def test_a_settlement_whose_answer_was_lost_is_taken_once(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    payment = await service.open(an_order())
    unreliable.forgets_to_answer = ["settle", "settle"]
    await payment.settle(MicroEuro(EURO // 2), a_usage())

    async def is_written() -> bool:
        return not service.is_open("work-1")

    await time.pass_until(is_written)
    assert unreliable.calls.count("settle") == 3
    assert (await store.purse(USER)).available == 10 * EURO - EURO // 2
    assert len(await receipts(store)) == 1


async def test_a_free_message_that_cannot_be_written_yet_is_still_free(
    make_credits: MakeCredits, unreliable: Unreliable
) -> None:
    order = an_order(
        at_most=MicroEuro(30 * EURO), at_least=MicroEuro(20 * EURO), allows_free_message=True
    )
    payment = await make_credits().open(order)
    assert payment.hold.is_free_message
    unreliable.loses = ["settle"]
    assert await payment.settle(MicroEuro(EURO), a_usage()) == 0


async def test_a_caller_that_is_cancelled_while_it_settles_has_settled(
    make_credits: MakeCredits, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    payment = await service.open(an_order())
    task = asyncio.create_task(payment.settle(MicroEuro(EURO // 2), a_usage()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def is_written() -> bool:
        return not service.is_open("work-1")

    await time.pass_until(is_written)
    assert (await store.purse(USER)).available == 10 * EURO - EURO // 2


@pytest.mark.parametrize("failing", ["loses", "forgets_to_answer"])
async def test_a_hold_of_which_nobody_knows_whether_it_was_made_is_given_back(
    make_credits: MakeCredits,
    unreliable: Unreliable,
    store: LedgerStore,
    time: Time,
    failing: str,
) -> None:
    service = make_credits()
    getattr(unreliable, failing).append("open_hold")
    with pytest.raises(ServiceUnavailable):
        await service.open(an_order())

    async def is_over() -> bool:
        return not service.is_open("work-1")

    await time.pass_until(is_over)
    assert (await store.purse(USER)).available == 10 * EURO
    assert (await store.purse(USER)).held == 0
    charged = [receipt.charged for receipt in await receipts(store)]
    assert charged == ([0] if failing == "forgets_to_answer" else [])
    # A hold that was never made may still be on its way: it is looked for more than once.
    assert unreliable.calls.count("release") == (1 if failing == "forgets_to_answer" else 5)


async def test_what_cannot_be_written_before_the_end_is_left_to_the_reconciler(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    payment = await service.open(an_order())
    unreliable.loses = ["settle"] * 2
    await payment.settle(MicroEuro(EURO // 2), a_usage())
    await service.close()
    assert unreliable.calls.count("settle") == 2
    time.pass_by(61)
    assert len(await store.claim_orphans("other", time.now(), time.now(), 10)) == 1


async def test_the_end_of_the_process_is_one_more_chance(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore
) -> None:
    service = make_credits()
    payment = await service.open(an_order())
    unreliable.loses = ["settle"]
    await payment.settle(MicroEuro(EURO // 2), a_usage())
    await service.close()
    assert (await store.purse(USER)).available == 10 * EURO - EURO // 2


# Progress.


async def test_notes_are_kept_for_a_crash_and_the_newest_wins(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore, time: Time
) -> None:
    service = make_credits()
    payment = await service.open(an_order())
    for tokens in range(1, 50):
        payment.note(Progress("gen-1", 5, tokens, MicroEuro(tokens)))
    await eventually(lambda: unreliable.calls.count("note_progress") >= 1)
    await service.close()
    time.pass_by(61)
    (orphan,) = await store.claim_orphans("other", time.now(), time.now(), 10)
    assert orphan.progress == Progress("gen-1", 5, 49, MicroEuro(49))
    assert unreliable.calls.count("note_progress") <= 2


async def test_a_note_that_fails_harms_nothing(
    make_credits: MakeCredits, unreliable: Unreliable, store: LedgerStore
) -> None:
    payment = await make_credits().open(an_order())
    unreliable.loses = ["note_progress"]
    payment.note(Progress("gen-1"))
    await eventually(lambda: unreliable.loses == [])
    payment.note(Progress("gen-1", 5, 7))
    await eventually(lambda: unreliable.calls.count("note_progress") == 2)
    await payment.settle(MicroEuro(1), a_usage())
    payment.note(Progress("gen-1", 5, 8))
    assert (await store.purse(USER)).available == 10 * EURO - 1


# Costs that upstream tells later.


def _generation(cost: str = "0.1") -> Generation:
    return Generation(
        "gen-1",
        "maker/painter",
        "One",
        prompt_tokens=11,
        completion_tokens=22,
        cost=Decimal(cost),
    )


async def test_a_cost_that_upstream_tells_later_is_taken_then_with_all_that_was_known(
    make_credits: MakeCredits,
    store: LedgerStore,
    time: Time,
    openrouter: FakeOpenRouter,
    costs: OpenRouterGenerations,
) -> None:
    openrouter.generations["gen-1"] = _generation()
    openrouter.asks_before_cost = 2
    service = make_credits(costs=costs)
    payment = await service.open(an_order())
    usage = a_usage(
        generation_id="gen-1",
        outcome=Outcome.CANCELLED,
        basis=Basis.ESTIMATE,
        tags={"chat": "7"},
    )
    payment.settle_when_known(MicroEuro(5), usage)

    async def is_written() -> bool:
        return not service.is_open("work-1")

    await time.pass_until(is_written)
    (receipt,) = await receipts(store)
    assert receipt.charged == 101_200  # 0.1 USD x 0.92 x 1.1
    assert receipt.usage.basis is Basis.UPSTREAM
    assert receipt.usage.outcome is Outcome.CANCELLED
    assert (receipt.usage.prompt_tokens, receipt.usage.completion_tokens) == (11, 22)
    assert receipt.usage.tags == {"chat": "7"}
    assert service.unsettled == 0


@pytest.mark.parametrize(
    ("ours", "basis", "charged"),
    [(MicroEuro(5), Basis.ESTIMATE, 5), (None, Basis.UNKNOWN, 0)],
)
async def test_where_upstream_never_tells_our_own_count_is_taken_or_nothing(
    make_credits: MakeCredits,
    store: LedgerStore,
    time: Time,
    openrouter: FakeOpenRouter,
    costs: OpenRouterGenerations,
    ours: MicroEuro | None,
    basis: Basis,
    charged: int,
) -> None:
    openrouter.asks_before_cost = None
    service = make_credits(costs=costs)
    payment = await service.open(an_order())
    payment.settle_when_known(ours, a_usage(generation_id="gen-1", basis=basis))

    async def is_written() -> bool:
        return not service.is_open("work-1")

    await time.pass_until(is_written)
    (receipt,) = await receipts(store)
    assert (receipt.charged, receipt.usage.basis) == (charged, basis)
    unknown = await store.unknown_costs(10)
    assert [each.id for each in unknown] == (["work-1"] if ours is None else [])
    assert len([each for each in openrouter.requests if each.path == "/generation"]) == 4


async def test_a_question_that_is_open_at_the_end_is_handed_over_at_once(
    make_credits: MakeCredits,
    store: LedgerStore,
    time: Time,
    openrouter: FakeOpenRouter,
    costs: OpenRouterGenerations,
) -> None:
    openrouter.asks_before_cost = None
    service = make_credits(costs=costs)
    payment = await service.open(an_order())
    payment.settle_when_known(MicroEuro(5), a_usage(generation_id="gen-1"))
    await service.close()
    now = time.now()
    orphans = await store.claim_orphans("other", now, now + timedelta(minutes=1), 10)
    assert [orphan.hold.id for orphan in orphans] == ["work-1"]


# All of it at once.

_NUMBERS = itertools.count()
_TROUBLE = st.lists(st.sampled_from(["loses", "forgets_to_answer"]), max_size=4)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    opening=st.none() | st.sampled_from(["loses", "forgets_to_answer"]),
    ending=st.sampled_from(["settle", "release", "leave", "ask"]),
    trouble=_TROUBLE,
    note_fails=st.booleans(),
    is_cancelled=st.booleans(),
)
async def test_whatever_fails_it_is_charged_once_or_not_at_all(
    make_credits: MakeCredits,
    unreliable: Unreliable,
    store: LedgerStore,
    time: Time,
    openrouter: FakeOpenRouter,
    costs: OpenRouterGenerations,
    opening: str | None,
    ending: str,
    trouble: list[str],
    note_fails: bool,
    is_cancelled: bool,
) -> None:
    openrouter.generations["gen-1"] = _generation()
    service = make_credits(costs=costs)
    order = an_order(f"work-{next(_NUMBERS)}")
    before = (await store.purse(USER)).available

    async def work() -> None:
        async with service.hold(order) as payment:
            payment.note(Progress("gen-1"))
            if ending == "settle":
                await payment.settle(MicroEuro(700), a_usage())
            elif ending == "release":
                await payment.release(a_usage(basis=Basis.NOTHING))
            elif ending == "ask":
                payment.settle_when_known(MicroEuro(5), a_usage(generation_id="gen-1"))

    if opening is not None:
        getattr(unreliable, opening).append("open_hold")
    if note_fails:
        unreliable.loses.append("note_progress")
    for kind in trouble:
        getattr(unreliable, kind).append("settle" if ending in ("settle", "ask") else "release")
    task = asyncio.create_task(work())
    if is_cancelled:
        await eventually(lambda: "open_hold" in unreliable.calls)
        task.cancel()
    result = (await asyncio.gather(task, return_exceptions=True))[0]
    assert result is None or isinstance(result, (ServiceUnavailable, asyncio.CancelledError))

    async def is_over() -> bool:
        return not service.is_open(order.id)

    await time.pass_until(is_over)
    unreliable.loses.clear()
    unreliable.forgets_to_answer.clear()
    unreliable.calls.clear()
    rows = [receipt for receipt in await receipts(store) if receipt.id == order.id]
    taken = before - (await store.purse(USER)).available
    assert (await store.purse(USER)).held == 0
    assert taken == sum(receipt.charged for receipt in rows) and len(rows) <= 1
    if result is None:
        assert taken == {"settle": 700, "ask": 101_200}.get(ending, 0)
    await service.close()
