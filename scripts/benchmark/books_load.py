"""The books of turns without the turns: hold, note, settle, as many at once as asked for.

    python -m benchmark.books_load TURNS SECONDS

Works on the books that the settings name, of which it gives every user a purse, and prints one
line of JSON of how it went.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from decimal import Decimal
from secrets import token_hex
from uuid import UUID

import uvloop

from benchmark import answers
from chuk import logs
from chuk.books import open_books
from chuk.catalog.models import Model, Pricing, Provider
from chuk.chat.books import TurnBooks, TurnFacts
from chuk.chat.command import ChatCommand, Message
from chuk.chat.resolution import resolve
from chuk.credits.ledger import Operation, Outcome
from chuk.credits.money import MicroEuro
from chuk.credits.pricing import PriceList
from chuk.credits.service import Credits, Order
from chuk.memory import calm_memory
from chuk.settings import Settings, load

USERS = tuple(UUID(int=number) for number in range(1, 33))

# What upstream takes for an answer. Without it the note of a hold would always be left out,
# because its end comes in the same commit.
_ANSWER = 0.02
_MONEY = MicroEuro(10_000_000_000)
_GENERATION = "gen-1763000000-q3JtPzY8kWv5LsXcB2Rd"
_PROVIDER = Provider(
    answers.PROVIDER,
    answers.PROVIDER_NAME,
    Pricing(Decimal("1e-7"), Decimal("2e-7")),
    131_072,
    max_completion_tokens=32_768,
)
_MODEL = Model(answers.MODEL, "Steady (benchmark)", "", 131_072, (_PROVIDER,))
_RESOLUTION = resolve(
    ChatCommand(answers.MODEL, (Message("user", "Write as much as you can."),), max_tokens=4096),
    _MODEL,
)
_FACTS = TurnFacts(
    has_delivered=True,
    prompt_tokens=answers.PROMPT_TOKENS,
    completion_tokens=answers.TOKENS,
    total_tokens=answers.PROMPT_TOKENS + answers.TOKENS,
    is_counted=True,
    cost_usd=Decimal("0.00005"),
    provider=_PROVIDER,
    generation_id=_GENERATION,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What keeping books took.

    Attributes:
        turns: how many were held for, noted and settled.
        cpu_us: this process's processor time for each, in microseconds.
        wait_ms: what a turn waited for its hold and its settling together, in milliseconds: the
            median.
        holds_per_second: while nothing else was done.
    """

    turns: int
    cpu_us: float
    wait_ms: float
    holds_per_second: float


async def keep(settings: Settings, turns: int, seconds: float) -> Kept:
    """Keep the books of so many turns at once for so long, then count holds for as long."""
    books = await open_books(settings)
    service = Credits(
        books.ledger,
        PriceList(settings.prices.usd_to_eur, settings.prices.margin),
        owner=token_hex(16),
        hold_lease=settings.credits.hold_lease,
    )
    users = [USERS[number % len(USERS)] for number in range(turns)]
    try:
        for user in set(users):
            await books.ledger.grant(user, _MONEY, f"benchmark:{user}")
        await _turns(service, users, 0.5)
        calm_memory()
        cpu = time.process_time()
        waits = await _turns(service, users, seconds)
        cpu = time.process_time() - cpu
        holds = await _holds(service, users, seconds / 2)
    finally:
        await service.close()
        await books.close()
    return Kept(len(waits), cpu * 1e6 / len(waits), statistics.median(waits) * 1000, holds)


async def _turns(service: Credits, users: list[UUID], seconds: float) -> list[float]:
    """One turn after the other for each of these; returns what each waited, in seconds."""
    waits: list[float] = []
    end = time.monotonic() + seconds

    async def turns_of(user: UUID) -> None:
        while time.monotonic() < end:
            waits.append(await _turn(service, user))

    await asyncio.gather(*map(turns_of, users))
    return waits


async def _turn(service: Credits, user: UUID) -> float:
    books = TurnBooks(service)
    began = time.monotonic()
    await books.open(_RESOLUTION, _new_id(), user)
    held = time.monotonic()
    books.note(
        held,
        generation_id=_GENERATION,
        provider=_PROVIDER,
        prompt_tokens=answers.PROMPT_TOKENS,
        completion_tokens=0,
    )
    await asyncio.sleep(_ANSWER)
    ended = time.monotonic()
    await books.close(Outcome.COMPLETED, _FACTS)
    return held - began + time.monotonic() - ended


async def _holds(service: Credits, users: list[UUID], seconds: float) -> float:
    """Holds a second. They stay open: ending them would be measured too."""
    held = 0
    began = time.monotonic()

    async def holds_of(user: UUID) -> None:
        nonlocal held
        while time.monotonic() < began + seconds:
            await service.open(_order(user))
            held += 1

    await asyncio.gather(*map(holds_of, users))
    return held / (time.monotonic() - began)


def _order(user: UUID) -> Order:
    return Order(
        id=_new_id(),
        user_id=user,
        operation=Operation.CHAT,
        model_id=answers.MODEL,
        provider_slug=answers.PROVIDER,
        at_most=MicroEuro(754),
        at_least=MicroEuro(50),
    )


def _new_id() -> str:
    """By time, as the server's own: the indexes then grow at one end."""
    return f"{time.time_ns() // 1_000_000:012x}{token_hex(10)}"


def main() -> int:
    """Keep books, and say what it took."""
    logs.configure(level="error", json=False)
    turns, seconds = sys.argv[1:]
    print(json.dumps(asdict(uvloop.run(keep(load(), int(turns), float(seconds))))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
