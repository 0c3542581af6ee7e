"""The books of a turn: held before, taken once, and never what a failure delivered nothing for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from chuk.adapters.openrouter_generations import OpenRouterGenerations
from chuk.catalog.models import Model, Pricing, Provider
from chuk.chat.books import TurnBooks, TurnFacts, estimate_of
from chuk.chat.command import ChatCommand, Message
from chuk.chat.resolution import Resolution, resolve
from chuk.credits.ledger import Basis, Outcome, SpendingCap
from chuk.credits.money import MicroEuro
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import InsufficientCredits, QuotaExceeded
from tests.credits.books import (
    EURO,
    FREE_MESSAGES,
    PRICES,
    USER,
    Time,
    Unreliable,
    give,
    open_books,
    receipts,
)
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.openrouter_replies import Generation
from tests.harness import eventually

POOR = UUID(int=9)
_PRICED = Pricing(Decimal("1e-6"), Decimal("2e-6"))
_DEARER = Pricing(Decimal("3e-6"), Decimal("5e-6"))
MODEL = Model(
    "maker/model",
    "Model",
    "",
    100_000,
    (Provider("one", "One", _PRICED, 100_000), Provider("two", "Two", _DEARER, 100_000)),
)
GRATIS = Model("embedded", "Own", "", 8_000, (Provider("local", "Local", Pricing(), 8_000),))

# What upstream asked for 0.1 USD is in the user's money.
A_TENTH = 101_200


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def store(tmp_path: Path, time: Time) -> AsyncIterator[Unreliable]:
    async with open_books(tmp_path, time) as books:
        await give(books, 10 * EURO)
        yield Unreliable(books)


@pytest.fixture
async def service(
    store: Unreliable, time: Time, openrouter: FakeOpenRouter
) -> AsyncIterator[Credits]:
    async with aiohttp.ClientSession() as session:
        costs = OpenRouterGenerations(
            session, base_url=openrouter.base_url, api_key=openrouter.api_key
        )
        made = _service(store, time, costs=costs)
        yield made
        await made.close()


@pytest.fixture
def generation(openrouter: FakeOpenRouter) -> Generation:
    found = Generation("gen-1", "m", "One", prompt_tokens=44, completion_tokens=33)
    found.cost = Decimal("0.1")
    openrouter.generations["gen-1"] = found
    return found


def _service(store: LedgerStore, time: Time, **options: Any) -> Credits:
    return Credits(
        store, PRICES, owner="p", hold_lease=60.0, ask_attempts=3,
        clock=time.now, sleep=time.sleep, **options,
    )  # fmt: skip


def a_resolution(model: Model = MODEL, text: str = "Hello", **fields: Any) -> Resolution:
    return resolve(ChatCommand(model.id, (Message("user", text),), **fields), model)


def facts(**fields: Any) -> TurnFacts:
    """An answer of 10 tokens to a prompt of 20, counted by us alone."""
    usual: dict[str, Any] = {
        "has_delivered": True,
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "is_counted": False,
        "cost_usd": None,
        "provider": MODEL.providers[0],
        "generation_id": "gen-1",
    }
    return TurnFacts(**{**usual, **fields})


NOTHING = {
    "has_delivered": False,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "total_tokens": 0,
    "generation_id": None,
}
COUNTED = {"is_counted": True, "cost_usd": None}
PRICED = {"is_counted": True, "cost_usd": Decimal("0.1")}

Questions = Callable[[], int]


@pytest.fixture
def questions(openrouter: FakeOpenRouter) -> Questions:
    """How often upstream's books were asked."""
    return lambda: len([each for each in openrouter.requests if each.path == "/generation"])


# Opening.


async def test_a_turn_holds_its_upper_estimate_before_it_begins(
    service: Credits, store: Unreliable
) -> None:
    resolution = a_resolution(max_tokens=1_000)
    request = await TurnBooks(service).open(resolution, "turn", USER)
    assert request is resolution.request
    purse = await store.purse(USER)
    assert purse.held == estimate_of(resolution, PRICES).at_most
    assert purse.held >= PRICES.in_euros(Decimal("0.002"))


async def test_fallbacks_hold_for_the_dearest_provider(service: Credits) -> None:
    alone = estimate_of(a_resolution(max_tokens=1_000), PRICES)
    with_others = estimate_of(a_resolution(max_tokens=1_000, allow_provider_fallbacks=True), PRICES)
    assert alone.pricings == (_PRICED,)
    assert with_others.cost(0) > alone.cost(0)
    assert with_others.at_most > 2 * alone.at_most


async def test_pictures_count_in_tokens_and_in_their_own_price(service: Credits) -> None:
    pricing = replace(_PRICED, image=Decimal("0.01"))
    seeing = Model(
        "s", "S", "", 100_000, (Provider("one", "One", pricing, 100_000),), supports_vision=True
    )
    picture = "data:image/png;base64,AAAA"
    bare = ChatCommand("s", (Message("user", "What?"),), max_tokens=10)
    seen = ChatCommand("s", (Message("user", "What?", (picture, picture)),), max_tokens=10)
    more = (
        estimate_of(resolve(seen, seeing), PRICES).at_least
        - estimate_of(resolve(bare, seeing), PRICES).at_least
    )
    assert more > PRICES.in_euros(Decimal("0.02") + Decimal("2e-3"))


async def test_an_answer_is_no_longer_than_the_hold_affords(
    service: Credits, store: Unreliable
) -> None:
    await give(store, 2_000, POOR)
    resolution = a_resolution(max_tokens=50_000)
    request = await TurnBooks(service).open(resolution, "turn", POOR)
    assert 256 <= request.max_tokens < 1_000
    assert request.messages == resolution.request.messages
    estimate = estimate_of(resolution, PRICES)
    assert estimate.cost(request.max_tokens) <= 2_000 < estimate.cost(request.max_tokens + 2)
    assert (await store.purse(POOR)).available == 0


async def test_a_free_message_stands_in_and_does_not_shorten_the_answer(
    service: Credits, store: Unreliable
) -> None:
    books = TurnBooks(service)
    resolution = a_resolution(max_tokens=50_000)
    assert (await books.open(resolution, "turn", POOR)).max_tokens == 50_000
    assert books.is_free_message
    assert (await store.purse(POOR)).free_used == 1


async def test_without_credits_or_free_messages_upstream_is_not_touched(
    service: Credits, store: Unreliable
) -> None:
    for number in range(FREE_MESSAGES):
        await TurnBooks(service).open(a_resolution(), f"turn-{number}", POOR)
    with pytest.raises(InsufficientCredits) as refused:
        await TurnBooks(service).open(a_resolution(), "one-too-many", POOR)
    required = estimate_of(a_resolution(), PRICES).at_least / 1e6
    assert refused.value.details == {
        "required": required,
        "available": 0.0,
        "operation": "chat",
    }


async def test_a_persons_own_cap_refuses_too(service: Credits, store: Unreliable) -> None:
    await store.set_spending_cap(USER, SpendingCap(daily=MicroEuro(10)))
    with pytest.raises(QuotaExceeded):
        await TurnBooks(service).open(a_resolution(), "turn", USER)


# Closing.


async def closed(
    service: Credits,
    outcome: Outcome,
    known: TurnFacts,
    *,
    user: UUID = USER,
    model: Model = MODEL,
) -> Any:
    """A turn from its opening to its receipt."""
    books = TurnBooks(service)
    await books.open(a_resolution(model, max_tokens=500_000), "turn", user, {"chat": "7"})
    return await books.close(outcome, known)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.CANCELLED, Outcome.INTERRUPTED])
@pytest.mark.parametrize(
    ("told", "charged", "basis"),
    [(PRICED, A_TENTH, Basis.UPSTREAM), (COUNTED, 41, Basis.TOKENS)],
)
async def test_what_upstream_counted_is_taken_at_once(
    service: Credits,
    store: Unreliable,
    questions: Questions,
    outcome: Outcome,
    told: dict[str, Any],
    charged: int,
    basis: Basis,
) -> None:
    receipt = await closed(service, outcome, facts(**told))
    assert (receipt.charged, receipt.basis) == (charged, basis)
    assert not receipt.is_estimated and not receipt.is_free_message and receipt.is_zdr
    assert receipt.held > charged and receipt.provider == "one"
    (row,) = await receipts(store)
    assert (row.charged, row.usage.basis, row.usage.outcome) == (charged, basis, outcome)
    assert row.usage.tags == {"chat": "7"} and row.usage.generation_id == "gen-1"
    assert (await store.purse(USER)).available == 10 * EURO - charged
    assert questions() == 0


@pytest.mark.parametrize("user", [USER, POOR])
@pytest.mark.parametrize("extra", [{}, PRICED, {"generation_id": "gen-1"}])
async def test_a_failure_that_delivered_nothing_takes_nothing(
    service: Credits, store: Unreliable, questions: Questions, user: UUID, extra: dict[str, Any]
) -> None:
    before = await store.purse(user)
    receipt = await closed(service, Outcome.FAILED, facts(**{**NOTHING, **extra}), user=user)
    assert (receipt.charged, receipt.basis) == (0, Basis.NOTHING)
    after = await store.purse(user)
    assert (after.available, after.held, after.free_used) == (before.available, 0, 0)
    (row,) = await receipts(store, user)
    assert (row.charged, row.usage.outcome) == (0, Outcome.FAILED)
    assert questions() == 0


async def test_an_answer_from_another_provider_is_paid_at_its_price(
    service: Credits, store: Unreliable
) -> None:
    receipt = await closed(
        service, Outcome.COMPLETED, facts(**COUNTED, provider=MODEL.providers[1])
    )
    assert (receipt.charged, receipt.provider) == (112, "two")


async def test_a_cut_answer_costs_what_upstream_says_when_it_says_so_soon(
    service: Credits, store: Unreliable, generation: Generation
) -> None:
    receipt = await closed(service, Outcome.CANCELLED, facts())
    assert (receipt.charged, receipt.basis, receipt.is_estimated) == (
        A_TENTH,
        Basis.UPSTREAM,
        False,
    )
    assert (receipt.prompt_tokens, receipt.completion_tokens) == (44, 33)
    (row,) = await receipts(store)
    assert (row.charged, row.usage.outcome) == (A_TENTH, Outcome.CANCELLED)


@pytest.mark.parametrize("asks", [4, None])
async def test_a_cut_answer_whose_cost_comes_later_is_settled_then(
    service: Credits,
    store: Unreliable,
    time: Time,
    openrouter: FakeOpenRouter,
    generation: Generation,
    questions: Questions,
    asks: int | None,
) -> None:
    openrouter.asks_before_cost = asks
    closing = asyncio.create_task(closed(service, Outcome.CANCELLED, facts()))
    for waits in (1, 2):
        await eventually(lambda: len(time.slept) == waits)  # noqa: B023
        time.pass_by(1)
    receipt = await closing
    assert questions() == 3
    assert (receipt.charged, receipt.basis, receipt.is_estimated) == (41, Basis.ESTIMATE, True)
    assert (await store.purse(USER)).held == receipt.held

    async def is_over() -> bool:
        return not service.is_open("turn")

    await time.pass_until(is_over)
    (row,) = await receipts(store)
    assert row.usage.outcome is Outcome.CANCELLED
    assert row.charged == (A_TENTH if asks else 41)
    assert row.usage.basis is (Basis.UPSTREAM if asks else Basis.ESTIMATE)


async def test_a_failure_after_a_part_is_an_interruption_and_costs_that_part(
    service: Credits, store: Unreliable, generation: Generation
) -> None:
    receipt = await closed(service, Outcome.FAILED, facts())
    assert receipt.charged == A_TENTH
    assert (await receipts(store))[0].usage.outcome is Outcome.INTERRUPTED


async def test_a_stop_before_the_first_word_costs_what_upstream_charged_for_the_prompt(
    service: Credits, store: Unreliable, generation: Generation
) -> None:
    known = facts(**{**NOTHING, "generation_id": "gen-1"})
    assert (await closed(service, Outcome.CANCELLED, known)).charged == A_TENTH


async def test_a_stop_before_upstream_began_costs_nothing(
    service: Credits, store: Unreliable, questions: Questions
) -> None:
    receipt = await closed(service, Outcome.CANCELLED, facts(**NOTHING))
    assert (receipt.charged, receipt.basis) == (0, Basis.NOTHING)
    assert questions() == 0


async def test_an_upstream_that_cannot_be_asked_is_paid_for_what_was_delivered(
    store: Unreliable, time: Time
) -> None:
    service = _service(store, time)
    receipt = await closed(service, Outcome.CANCELLED, facts())
    assert (receipt.charged, receipt.basis, receipt.is_estimated) == (41, Basis.ESTIMATE, True)
    await service.close()


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.CANCELLED, Outcome.INTERRUPTED])
async def test_a_free_message_is_used_up_by_any_part_of_an_answer_and_charges_nothing(
    service: Credits, store: Unreliable, questions: Questions, outcome: Outcome
) -> None:
    receipt = await closed(service, outcome, facts(), user=POOR)
    assert (receipt.charged, receipt.held, receipt.is_free_message) == (0, 0, True)
    assert (await store.purse(POOR)).free_used == 1
    assert (await receipts(store, POOR))[0].usage.cost_usd > 0
    assert questions() == 0


async def test_a_free_message_is_given_back_when_stopped_before_the_first_word(
    service: Credits, store: Unreliable
) -> None:
    known = facts(**{**NOTHING, "generation_id": "gen-1"})
    receipt = await closed(service, Outcome.CANCELLED, known, user=POOR)
    assert receipt.basis is Basis.NOTHING
    assert (await store.purse(POOR)).free_used == 0


async def test_a_model_that_costs_nothing_needs_no_purse_and_leaves_one_row(
    service: Credits, store: Unreliable, questions: Questions
) -> None:
    known = facts(provider=GRATIS.providers[0])
    receipt = await closed(service, Outcome.CANCELLED, known, user=POOR, model=GRATIS)
    assert (receipt.held, receipt.charged, receipt.is_free_message) == (0, 0, False)
    assert (await store.purse(POOR)).free_used == 0
    assert len(await receipts(store, POOR)) == 1
    assert questions() == 0


async def test_books_that_cannot_be_reached_do_not_fail_the_answer(
    service: Credits, store: Unreliable, time: Time
) -> None:
    store.loses = ["settle"]
    assert (await closed(service, Outcome.COMPLETED, facts(**PRICED))).charged == A_TENTH

    async def is_over() -> bool:
        return not service.is_open("turn")

    await time.pass_until(is_over)
    assert (await store.purse(USER)).available == 10 * EURO - A_TENTH


async def test_a_turn_that_is_cancelled_while_it_asks_is_settled_all_the_same(
    service: Credits,
    store: Unreliable,
    time: Time,
    openrouter: FakeOpenRouter,
    questions: Questions,
) -> None:
    openrouter.asks_before_cost = None
    closing = asyncio.create_task(closed(service, Outcome.CANCELLED, facts()))
    await eventually(lambda: questions() == 1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing

    async def is_over() -> bool:
        return not service.is_open("turn")

    await time.pass_until(is_over)
    assert (await receipts(store))[0].charged == 41


# Notes for a crash.


async def test_the_generation_id_is_noted_at_once_and_counts_now_and_then(
    service: Credits, store: Unreliable, time: Time
) -> None:
    books = TurnBooks(service)
    await books.open(a_resolution(max_tokens=100), "turn", USER)

    def note(now: float, tokens: int) -> None:
        books.note(
            now,
            generation_id="gen-1",
            provider=MODEL.providers[0],
            prompt_tokens=20,
            completion_tokens=tokens,
        )

    note(100.0, 0)
    await eventually(lambda: store.calls.count("note_progress") == 1)
    for seconds in range(1, 25):
        note(100.0 + seconds, seconds)
    await eventually(lambda: store.calls.count("note_progress") >= 2)
    await service.close()
    time.pass_by(61)
    (orphan,) = await store.claim_orphans("other", time.now(), time.now(), 10)
    assert orphan.progress.generation_id == "gen-1"
    assert orphan.progress.completion_tokens == 20
    assert orphan.progress.cost == PRICES.in_euros(Decimal("20e-6") + Decimal("40e-6"))
    assert store.calls.count("note_progress") <= 3


async def test_what_costs_nothing_is_not_noted(service: Credits, store: Unreliable) -> None:
    books = TurnBooks(service)
    await books.open(a_resolution(GRATIS), "turn", POOR)
    books.note(
        9.0,
        generation_id="gen-1",
        provider=GRATIS.providers[0],
        prompt_tokens=1,
        completion_tokens=1,
    )
    await books.close(Outcome.COMPLETED, facts(provider=GRATIS.providers[0]))
    assert "note_progress" not in store.calls
