"""Pictures on order: held before, settled after, given back when nothing was delivered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chuk.credits.ledger import Basis, Operation, Outcome
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import (
    ChukError,
    ContentFiltered,
    GenerationFailed,
    InsufficientCredits,
    InvalidDimensions,
    InvalidPrompt,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.media.draw import MAX_SEED, Drawing, picture_price
from chuk.media.jobs import Jobs
from chuk.media.pictures import MAX_BYTES, PictureKind, Pictures
from chuk.media.ports import Commission, Painting
from tests.credits.books import EURO, PRICES, USER, Time, give, open_books, receipts

DATA = b"\xff\xd8\xffdata"
PRICE = Decimal("0.05")
CENT = EURO // 100


class Scripted:
    """A painter that does what it is told.

    Attributes:
        failure: raised instead of painting.
        goes_on: what it waits for before it is done.
    """

    model_id, provider_slug, is_zdr = "maker/painter", "one", False

    def __init__(self) -> None:
        self.commissions: list[Commission] = []
        self.failure: ChukError | None = None
        self.data = DATA
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.began = asyncio.Event()
        self.cancelled = 0

    async def paint(self, commission: Commission) -> Painting:
        self.commissions.append(commission)
        self.began.set()
        try:
            await self.goes_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure is not None:
            raise self.failure
        return Painting(self.data, PictureKind.JPEG, commission.seed)


Make = Callable[..., Drawing]


@pytest.fixture
def painter() -> Scripted:
    return Scripted()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LedgerStore]:
    """Real books of a user with one euro; proven at the end."""
    async with open_books(tmp_path, Time()) as books:
        await give(books, EURO)
        yield books


@pytest.fixture
async def pictures(tmp_path: Path) -> AsyncIterator[Pictures]:
    """A folder for what is drawn."""
    folder = Pictures(tmp_path / "pictures", keep=86_400)
    await folder.start()
    yield folder
    await folder.close()


@pytest.fixture
async def make(store: LedgerStore, pictures: Pictures, painter: Scripted) -> AsyncIterator[Make]:
    """Make the service over all of this."""
    credit_service = Credits(store, PRICES, owner="process-1", hold_lease=60.0)

    def made(**options: Any) -> Drawing:
        usual: dict[str, Any] = {"price": PRICE, "timeout": 10.0}
        return Drawing(painter, pictures, credit_service, **{**usual, **options})

    yield made
    await credit_service.close()


async def has(store: LedgerStore) -> tuple[int, int]:
    """What the user can spend, and what is on hold."""
    purse = await store.purse(USER)
    assert purse is not None
    return purse.available, purse.held


@pytest.mark.parametrize(
    ("width", "height", "cents"),
    [
        (1024, 1024, 5),
        (512, 512, 2),
        (768, 1024, 4),
        (576, 1024, 3),
        (1024, 768, 4),
        (1024, 576, 3),
        (2048, 2048, 20),
        (64, 64, 1),
        (1024, 1025, 6),
    ],
)
def test_a_price_is_five_cents_for_2_20_pixels_rounded_up(
    width: int, height: int, cents: int
) -> None:
    assert picture_price(width, height, PRICE) == cents * CENT
    assert picture_price(width, height, Decimal(0)) == 0


async def test_a_picture_is_kept_and_paid_for(
    make: Make, store: LedgerStore, pictures: Pictures
) -> None:
    drawn = await make().draw(USER, "a fox", width=1024, height=768, seed=5)
    assert (drawn.width, drawn.height, drawn.seed, drawn.cost) == (1024, 768, 5, 4 * CENT)
    found = pictures.find(drawn.name)
    assert found is not None and found.path.read_bytes() == DATA
    assert await has(store) == (96 * CENT, 0)
    (receipt,) = await receipts(store)
    assert (receipt.operation, receipt.held, receipt.charged) == (
        Operation.IMAGE,
        4 * CENT,
        4 * CENT,
    )
    usage = receipt.usage
    assert (usage.model_id, usage.provider_slug, usage.outcome, usage.basis) == (
        "maker/painter",
        "one",
        Outcome.COMPLETED,
        Basis.ESTIMATE,
    )
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 0, 1)
    assert PRICES.in_euros(usage.cost_usd) == 4 * CENT


async def test_what_is_needed_is_held_while_it_is_painted(
    make: Make, store: LedgerStore, painter: Scripted
) -> None:
    painter.goes_on.clear()
    drawing = asyncio.create_task(make().draw(USER, "a fox", width=512, height=512))
    await painter.began.wait()
    assert await has(store) == (98 * CENT, 2 * CENT)
    painter.goes_on.set()
    await drawing
    assert await has(store) == (98 * CENT, 0)


async def test_who_cannot_pay_is_refused_before_anything_is_asked(
    make: Make, painter: Scripted, store: LedgerStore
) -> None:
    drawing = make(price=Decimal(2))
    with pytest.raises(InsufficientCredits) as raised:
        await drawing.draw(USER, "a fox", width=1024, height=1024)
    assert raised.value.details == {"required": 2.0, "available": 1.0, "operation": "image"}
    assert painter.commissions == []
    assert await has(store) == (EURO, 0)


async def test_what_is_free_needs_no_credits(
    make: Make, store: LedgerStore, tmp_path: Path
) -> None:
    drawing = make(price=Decimal(0))
    stranger = type(USER)(int=99)
    drawn = await drawing.draw(stranger, "a fox", width=512, height=512)
    assert drawn.cost == 0
    (receipt,) = await receipts(store, stranger)
    assert (receipt.charged, receipt.usage.total_tokens, receipt.usage.cost_usd) == (0, 1, 0)


@pytest.mark.parametrize("failure", [ContentFiltered(), ServiceUnavailable(), GenerationFailed()])
async def test_a_failure_costs_nothing(
    make: Make, store: LedgerStore, painter: Scripted, failure: ChukError
) -> None:
    painter.failure = failure
    with pytest.raises(type(failure)):
        await make().draw(USER, "a fox", width=512, height=512)
    assert await has(store) == (EURO, 0)
    (receipt,) = await receipts(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.FAILED)


async def test_who_leaves_ends_the_work_and_pays_nothing(
    make: Make, store: LedgerStore, painter: Scripted
) -> None:
    painter.goes_on.clear()
    drawing = asyncio.create_task(make().draw(USER, "a fox", width=512, height=512))
    await painter.began.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert painter.cancelled == 1
    assert await has(store) == (EURO, 0)
    (receipt,) = await receipts(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.CANCELLED)


async def test_what_takes_too_long_is_ended_and_costs_nothing(
    make: Make, store: LedgerStore, painter: Scripted
) -> None:
    painter.goes_on.clear()
    with pytest.raises(ProviderTimeout):
        await make(timeout=0.01).draw(USER, "a fox", width=512, height=512)
    assert painter.cancelled == 1
    assert await has(store) == (EURO, 0)


async def test_a_picture_larger_than_promised_is_not_given_out(
    make: Make, store: LedgerStore, painter: Scripted
) -> None:
    painter.data = b"\xff\xd8\xff" + bytes(MAX_BYTES)
    with pytest.raises(GenerationFailed):
        await make().draw(USER, "a fox", width=512, height=512)
    assert await has(store) == (EURO, 0)


async def test_a_picture_that_cannot_be_kept_costs_nothing(
    make: Make, store: LedgerStore, tmp_path: Path
) -> None:
    (tmp_path / "pictures").rmdir()
    with pytest.raises(GenerationFailed):
        await make().draw(USER, "a fox", width=512, height=512)
    assert await has(store) == (EURO, 0)


async def test_work_on_this_machine_waits_for_a_slot(make: Make, painter: Scripted) -> None:
    painter.goes_on.clear()
    jobs = Jobs(1, 1)
    drawing = make(slots=jobs)
    first = asyncio.create_task(drawing.draw(USER, "one", width=64, height=64))
    await painter.began.wait()
    async with asyncio.TaskGroup() as group:
        second = group.create_task(drawing.draw(USER, "two", width=64, height=64))
        while jobs.waiting < 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with pytest.raises(ServiceUnavailable):
            await drawing.draw(USER, "three", width=64, height=64)
        assert [each.prompt for each in painter.commissions] == ["one"]
        painter.goes_on.set()
    await first
    assert second.done()
    assert [each.prompt for each in painter.commissions] == ["one", "two"]


async def test_a_seed_is_chosen_where_none_is_given(make: Make, painter: Scripted) -> None:
    drawing = make()
    seeds = {(await drawing.draw(USER, "a fox", width=64, height=64)).seed for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed <= MAX_SEED for seed in seeds)
    assert {each.seed for each in painter.commissions} == seeds


@pytest.mark.parametrize("prompt", ["", " \n\t", "x" * 1_001])
async def test_a_prompt_must_have_something_and_not_too_much(
    make: Make, painter: Scripted, prompt: str
) -> None:
    with pytest.raises(InvalidPrompt):
        await make().draw(USER, prompt, width=512, height=512)
    assert painter.commissions == []


@pytest.mark.parametrize("sides", [(63, 512), (512, 63), (2_049, 512), (512, 2_049), (0, -1)])
async def test_sides_have_bounds(make: Make, painter: Scripted, sides: tuple[int, int]) -> None:
    with pytest.raises(InvalidDimensions):
        await make().draw(USER, "a fox", width=sides[0], height=sides[1])
    assert painter.commissions == []
