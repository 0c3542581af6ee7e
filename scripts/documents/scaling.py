"""What the measured figures come to for many chats at once: the tables of docs/scaling.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scripts.documents.figures import Assumed, Figure, Measured
from scripts.documents.tables import table

CHATS = (1_000, 100_000, 10_000_000)

_SECOND = 1_000_000
# Seconds: between two rounds of chuk.adapters.redis.shipping at least, and at most; and the share
# of the time that a round may take.
_SHORTEST_ROUND, _LONGEST_PAUSE, _SHARE = 0.025, 1.0, 10
_MIB = 1024
_GIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What `chats` open streams come to. Books in Supabase, streams in Redis."""

    chats: int

    @property
    def tokens(self) -> float:
        """A second."""
        return self.chats * Assumed.rate.value

    @property
    def turns(self) -> float:
        """Begun, and ended, a second."""
        return self.tokens / Assumed.length.value

    @property
    def workers(self) -> int:
        """Processes, of a core each."""
        return math.ceil(self.chats / chats_of_a_worker())

    @property
    def machines(self) -> int:
        """For the workers."""
        return math.ceil(self.workers / Assumed.workers.value)

    @property
    def worker_memory(self) -> float:
        """MiB of one worker: itself, its open streams, the answers that it keeps."""
        open_streams = min(self.chats, chats_of_a_worker())
        ended = open_streams / _answer_seconds() * Assumed.keep.value
        kept = min(ended * Measured.kept_memory.value, 250_000)
        return Assumed.base.value + (open_streams * Measured.stream_memory.value + kept) / _MIB

    @property
    def redis_least(self) -> float:
        """Redis cores when every stream brings one batch a second."""
        return (self._redis_turns() + self.chats * Measured.redis_batch.value) / _SECOND

    @property
    def redis_most(self) -> float:
        """Redis cores when every worker brings as much as it may."""
        batches = self.workers * batches_a_second(min(self.chats, chats_of_a_worker()))
        return (self._redis_turns() + batches * Measured.redis_batch.value) / _SECOND

    @property
    def redis_memory_least(self) -> float:
        """GiB: the answers that run, and those that can be read again; a batch a second of each."""
        return self._redis_memory(_answer_seconds())

    @property
    def redis_memory_most(self) -> float:
        """GiB, when every worker brings as much as it may."""
        streams = min(self.chats, chats_of_a_worker())
        return self._redis_memory(batches_a_second(streams) / streams * _answer_seconds())

    @property
    def redis_servers(self) -> int:
        """As many as the least load needs."""
        return math.ceil(self.redis_least / Assumed.redis_busy.value)

    @property
    def transactions(self) -> float:
        """In Postgres, a second."""
        return self.turns * Assumed.calls.value

    @property
    def postgres_servers(self) -> int:
        """As many as the transactions need."""
        return math.ceil(self.transactions / Assumed.postgres.value)

    @property
    def postgres_growth(self) -> float:
        """GiB a day."""
        return self.turns * 86_400 * Assumed.row.value / _GIB

    @property
    def traffic(self) -> float:
        """Megabits a second that come from upstreams."""
        return self.tokens * Assumed.chunk.value * 8 / _SECOND

    def _redis_memory(self, batches: float) -> float:
        answers = self.chats + self.turns * Assumed.keep.value
        size = Measured.redis_answer.value + batches * Measured.redis_room.value
        return answers * size / _GIB

    def _redis_turns(self) -> float:
        return self.turns * Measured.redis_turn.value


def _answer_seconds() -> float:
    return Assumed.length.value / Assumed.rate.value


def chat_cost() -> float:
    """Microseconds of a worker's core that one open stream takes in a second."""
    turn = Measured.turn.value + Measured.books_supabase.value
    shared = Measured.opening.value + Measured.limit.value
    tokens = Assumed.rate.value * Measured.token.value
    return tokens + (turn + shared) / _answer_seconds()


def chats_of_a_worker() -> int:
    """Open streams that one worker carries."""
    return math.floor(Assumed.busy.value * _SECOND / chat_cost())


def batches_a_second(streams: int) -> float:
    """What one worker brings to Redis."""
    took = streams * Measured.batch.value / _SECOND
    period = max(_SHORTEST_ROUND, took + min(took * (_SHARE - 1), _LONGEST_PAUSE))
    return streams / period


def chats_of_a_redis() -> int:
    """Open streams that one Redis carries, when each brings one batch a second."""
    load = Load(1_000_000).redis_least / 1_000_000
    return math.floor(Assumed.redis_busy.value / load)


def chats_of_a_postgres() -> int:
    """Open streams whose turns one Postgres books."""
    return math.floor(Assumed.postgres.value / Assumed.calls.value * _answer_seconds())


def chats_of_a_sqlite() -> int:
    """Open streams whose turns one SQLite file books."""
    return math.floor(Measured.holds_sqlite.value * _answer_seconds())


def figures_table() -> str:
    """What was measured."""
    return _figures(Measured)


def assumptions_table() -> str:
    """What was assumed."""
    return _figures(Assumed)


def _figures(holder: type) -> str:
    rows = [
        (f"`{name}`", f"{each.value:,g} {each.unit}", each.meaning, each.source)
        for name, each in vars(holder).items()
        if isinstance(each, Figure)
    ]
    return table(("Name", "Figure", "Of what", "From"), rows)


_ROWS: tuple[tuple[str, Callable[[Load], str]], ...] = (
    ("tokens a second", lambda load: f"{load.tokens:,.0f}"),
    ("turns a second", lambda load: f"{load.turns:,.0f}"),
    ("workers, a core each", lambda load: f"{load.workers:,}"),
    ("machines of 16 cores", lambda load: f"{load.machines:,}"),
    ("memory of a worker, MiB", lambda load: f"{load.worker_memory:,.0f}"),
    ("from upstreams, Mbit/s", lambda load: f"{load.traffic:,.0f}"),
    ("Redis: cores with a batch a second of each stream", lambda load: f"{load.redis_least:,.2f}"),
    ("Redis: cores if it never were the slower one", lambda load: f"{load.redis_most:,.2f}"),
    ("Redis: memory with a batch a second, GiB", lambda load: f"{load.redis_memory_least:,.1f}"),
    ("Redis: memory if it never were, GiB", lambda load: f"{load.redis_memory_most:,.1f}"),
    ("Redis: servers", lambda load: f"{load.redis_servers:,}"),
    ("Postgres: transactions a second", lambda load: f"{load.transactions:,.0f}"),
    ("Postgres: servers", lambda load: f"{load.postgres_servers:,}"),
    ("Postgres: growth, GiB a day", lambda load: f"{load.postgres_growth:,.1f}"),
)


def load_tables() -> str:
    """What the chats come to, and how many of them one of each carries."""
    loads = [Load(chats) for chats in CHATS]
    head = ["Concurrent chats", *(f"{chats:,}" for chats in CHATS)]
    rows = [[name, *(shown(load) for load in loads)] for name, shown in _ROWS]
    carried = [
        ("one worker", f"{chats_of_a_worker():,}"),
        ("one machine of 16 cores", f"{chats_of_a_worker() * Assumed.workers.value:,.0f}"),
        ("one Redis", f"{chats_of_a_redis():,}"),
        ("one Postgres", f"{chats_of_a_postgres():,}"),
        ("one SQLite file", f"{chats_of_a_sqlite():,}"),
    ]
    return (
        table(head, rows, numbers=len(CHATS))
        + "\n\n"
        + table(("What", "carries so many chats"), carried, numbers=1)
    )
