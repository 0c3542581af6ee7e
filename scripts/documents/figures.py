"""What was measured, and what is assumed: the one place of every figure in docs/scaling.md.

After a new measurement change the values here, then run `scripts/document`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        symbol: what the formulae call it.
        source: where it comes from.
        row: the row of docs/benchmark.md whose first figure it is; empty: it stands in none.
    """

    symbol: str
    value: float
    unit: str
    meaning: str
    source: str
    row: str = ""


_BENCHMARK = "[benchmark.md](benchmark.md)"
_ANSWERS = "`INFO` of a real Redis: 20 paced answers in 125 batches each, 150 in 20"


class Measured:
    """Figures of a real run. Times are processor time."""

    token: ClassVar = Figure(
        "token", 31.2, "µs", "a paced token", _BENCHMARK, "CPU of a token, 2000 × 10/s"
    )
    turn: ClassVar = Figure(
        "turn",
        721,
        "µs",
        "a turn without its books, its tokens in a burst",
        _BENCHMARK + ", the stage money, without books",
    )
    books_sqlite: ClassVar = Figure(
        "books",
        163,
        "µs",
        "hold, note and settle of a turn, in SQLite",
        _BENCHMARK,
        "CPU of hold, note and settle, SQLite, 32 turns at once",
    )
    books_supabase: ClassVar = Figure(
        "books",
        1760,
        "µs",
        "the same, over supabase-py",
        _BENCHMARK + ", beside the row of SQLite",
    )
    holds_sqlite: ClassVar = Figure(
        "holds",
        3157,
        "a second",
        "holds that one SQLite file takes",
        _BENCHMARK,
        "holds, SQLite, 32 turns at once",
    )
    stream_memory: ClassVar = Figure(
        "stream", 37.7, "KiB", "memory of an open stream", _BENCHMARK, "memory of an open stream"
    )
    kept_memory: ClassVar = Figure(
        "kept", 3.3, "KiB", "what a worker keeps of one answer, to be read again", "`EventLog.size`"
    )
    opening: ClassVar = Figure(
        "opening",
        80,
        "µs",
        "making an answer known in Redis, on our side; before a round was one call",
        "profile of a worker",
    )
    batch: ClassVar = Figure(
        "batch",
        36,
        "µs",
        "one batch of an answer, on our side; before a round was one call",
        "profile of a worker",
    )
    limit: ClassVar = Figure(
        "limit", 78, "µs", "counting a request in Redis, on our side", "profile of a worker"
    )
    redis_turn: ClassVar = Figure(
        "redis_turn", 250, "µs", "Redis' own time for a turn, without its batches", _ANSWERS
    )
    redis_batch: ClassVar = Figure("redis_batch", 14, "µs", "the same for one batch", _ANSWERS)
    redis_answer: ClassVar = Figure(
        "redis_answer", 6.3, "KiB", "Redis' memory of an answer, without its batches", _ANSWERS
    )
    redis_room: ClassVar = Figure("redis_room", 0.16, "KiB", "the same for one batch", _ANSWERS)


class Assumed:
    """What nobody has measured, or what depends on where it runs."""

    rate: ClassVar = Figure("rate", 40, "tokens/s", "of each open stream", "the load asked about")
    length: ClassVar = Figure("length", 400, "tokens", "of an answer", "the load asked about")
    busy: ClassVar = Figure(
        "busy",
        0.6,
        "of a core",
        "how much of a worker's core answers may take; a tenth more goes to bringing them to Redis,"
        " the rest is for peaks",
        "a choice",
    )
    workers: ClassVar = Figure(
        "workers", 15, "a machine", "16 cores; one is left to the system and the models", "a choice"
    )
    redis_busy: ClassVar = Figure(
        "redis_busy", 0.7, "of its core", "how much of Redis' one thread may be used", "a choice"
    )
    postgres: ClassVar = Figure(
        "postgres",
        10_000,
        "a second",
        "small transactions that one Postgres commits; measure yours",
        "a guess for 16 cores and NVMe",
    )
    calls: ClassVar = Figure(
        "calls", 3, "a turn", "transactions: hold, note, settle", "chuk/credits/service.py"
    )
    row: ClassVar = Figure(
        "row", 1.2, "KiB", "what a turn leaves in Postgres, with indexes", "a guess"
    )
    keep: ClassVar = Figure(
        "keep", 300, "s", "how long an answer can be read again", "`CHUK_CHAT_RESUME_KEEP`"
    )
    base: ClassVar = Figure("base", 150, "MiB", "a worker with nothing to do", "a guess")
    chunk: ClassVar = Figure(
        "chunk", 300, "bytes", "an upstream's event of one token; ours is 80", "a typical event"
    )
