"""What failed attempts cost is learnt from upstream, counted, and never asked for without end."""

from __future__ import annotations

from decimal import Decimal

from chuk.chat.losses import Losses
from chuk.credits.ports import GenerationCost
from chuk.errors import ServiceUnavailable
from tests.chat.routed import at_once
from tests.chat.scripted_turns import settle


class Costs:
    """Upstream's books: answers, failures and ignorance, one after the other."""

    def __init__(self, *answers: Decimal | Exception | None) -> None:
        self.answers = list(answers)

    async def cost_of(self, generation_id: str) -> GenerationCost | None:
        """See `chuk.credits.ports.GenerationCosts.cost_of`."""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else GenerationCost(answer, 1, 0)


async def test_it_asks_until_upstream_knows() -> None:
    losses = Losses(Costs(None, ServiceUnavailable(), Decimal("0.5")), sleep=at_once)
    losses.note("gen-1", None)
    await settle()
    assert (losses.count, losses.usd, losses.unknown) == (1, Decimal("0.5"), 0)


async def test_what_upstream_never_says_is_counted_as_unknown() -> None:
    losses = Losses(Costs(None, None, None, Decimal(1)), sleep=at_once)
    losses.note("gen-1", None)
    await settle()
    assert (losses.count, losses.usd, losses.unknown) == (0, Decimal(0), 1)


async def test_a_defect_is_no_end_of_counting() -> None:
    losses = Losses(Costs(ZeroDivisionError()), sleep=at_once)
    losses.note("gen-1", None)
    await settle()
    assert losses.unknown == 1


async def test_what_upstream_charged_nothing_for_is_no_loss() -> None:
    losses = Losses(Costs(Decimal(0)), sleep=at_once)
    losses.note("gen-1", None)
    losses.note("gen-2", Decimal(0))
    losses.note(None, None)
    await settle()
    assert (losses.count, losses.unknown) == (0, 0)


async def test_many_at_once_are_bounded_and_all_end_with_the_application() -> None:
    losses = Losses(Costs(*[Decimal(1)] * 1_000))
    for number in range(300):
        losses.note(f"gen-{number}", None)
    assert losses.unknown == 300 - 256
    await losses.close()
    assert (losses.count, losses.unknown) == (0, 300)
