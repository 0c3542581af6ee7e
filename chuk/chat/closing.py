"""How a turn ends: in its books, and in the last events that its subscribers are told."""

from __future__ import annotations

from chuk.chat.books import TurnBooks, nothing_taken
from chuk.chat.events import Done, Failed, TurnEvent
from chuk.chat.tally import Tally
from chuk.credits.ledger import Outcome
from chuk.errors import ChukError


async def closing_events(
    ending: ChukError | Done, tally: Tally, books: TurnBooks | None
) -> list[TurnEvent]:
    """Close the books and return the last events; without `books` nothing was ever held."""
    failed = not isinstance(ending, Done)
    last: TurnEvent = Failed(ending) if isinstance(ending, ChukError) else ending
    if books is None:
        # Stopped before it began, or refused.
        nothing = tally.usage(nothing_taken(tally.provider), failed=failed)
        return [last] if failed else [nothing, tally.speed(), last]
    receipt = await books.close(_outcome(ending, tally), tally.facts())
    if failed and not tally.pieces:
        return [last]
    return [tally.usage(receipt, failed=failed), tally.speed(), last]


def _outcome(ending: ChukError | Done, tally: Tally) -> Outcome:
    if not isinstance(ending, Done):
        return Outcome.INTERRUPTED if tally.pieces else Outcome.FAILED
    return Outcome.COMPLETED if tally.has_finished else Outcome.CANCELLED
