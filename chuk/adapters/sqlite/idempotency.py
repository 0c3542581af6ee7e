"""Who has claimed which key, in a file of its own: a restart must not charge anybody twice.

What the claims came to is kept in memory, and is gone with the process.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from chuk.adapters.sqlite.moments import microseconds, moment
from chuk.clock import Clock, utc_now
from chuk.errors import ChukError, ServiceUnavailable
from chuk.idempotency.ports import KEEP, Claim, ClaimState, Outcome
from chuk.logs import log_failure

FILE_NAME = "idempotency.sqlite3"

_MOST_BYTES = 64 * 2**20
_LONGEST_ANSWER = 8 * 2**20
_SIZE_OF_AN_ERROR = 1_000
_BUSY_SECONDS = 5.0
_COLUMNS = "key, owner, fingerprint, work, process, state, claimed_at, lease_until"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS claims (
    key TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    work TEXT NOT NULL UNIQUE,
    process TEXT NOT NULL,
    state TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS claims_by_owner ON claims (owner);
CREATE INDEX IF NOT EXISTS claims_by_age ON claims (claimed_at);
"""

Result = TypeVar("Result")


class SqliteIdempotency:
    """See `chuk.idempotency.ports.IdempotencyStore`.

    Args:
        file: made at the first use.
        most_bytes: of all outcomes together; the oldest give way.
    """

    def __init__(
        self, file: Path, *, clock: Clock = utc_now, most_bytes: int = _MOST_BYTES
    ) -> None:
        self._file = file
        self._clock = clock
        self._outcomes = _Outcomes(most_bytes)
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False
        # One thread: SQLite does one thing at a time, and a disk may be slow.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="idempotency")

    async def claim(self, wanted: Claim, *, instead_of: str | None = None) -> Claim:
        oldest = microseconds(self._clock() - KEEP)

        def claim(connection: sqlite3.Connection) -> Claim:
            connection.execute(
                "DELETE FROM claims WHERE key = ? AND (claimed_at <= ? OR work = ?)",
                (wanted.key, oldest, instead_of),
            )
            connection.execute(
                f"INSERT INTO claims ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
                " ON CONFLICT (key) DO NOTHING",
                _row(wanted),
            )
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM claims WHERE key = ?",  # noqa: S608
                (wanted.key,),
            ).fetchone()
            return _claim(*row)

        return await self._run(claim)

    async def renew(self, claims: Collection[Claim], until: datetime) -> None:
        rows = [(microseconds(until), claim.work) for claim in claims]
        await self._run(
            lambda connection: connection.executemany(
                "UPDATE claims SET lease_until = ? WHERE work = ?", rows
            )
        )

    async def serve(self, claim: Claim, answer: bytes | None) -> None:
        served = ("UPDATE claims SET state = ? WHERE work = ?", (ClaimState.SERVED, claim.work))
        if await self._run(lambda connection: connection.execute(*served).rowcount):
            self._keep(claim, answer)

    async def give_up(self, claim: Claim, error: ChukError | None) -> None:
        self._keep(claim, error)
        await self._run(
            lambda connection: connection.execute(
                "DELETE FROM claims WHERE work = ?", (claim.work,)
            )
        )

    async def outcome(self, work: str) -> Outcome | None:
        return self._outcomes.get(work, self._clock())

    async def forget(self, owner: str) -> None:
        self._outcomes.forget(owner)
        await self._run(
            lambda connection: connection.execute("DELETE FROM claims WHERE owner = ?", (owner,))
        )

    async def sweep(self) -> None:
        oldest = self._clock() - KEEP
        self._outcomes.sweep(oldest)
        await self._run(
            lambda connection: connection.execute(
                "DELETE FROM claims WHERE claimed_at <= ?", (microseconds(oldest),)
            )
        )

    async def close(self) -> None:
        """Idempotent; what comes later is refused."""
        if self._is_closed:
            return
        self._is_closed = True

        def close() -> None:
            if self._connection is not None:
                self._connection.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, close)
        self._thread.shutdown(wait=False)

    def _keep(self, claim: Claim, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._outcomes.put(claim.work, _Kept(claim.owner, claim.claimed_at, outcome))

    async def _run(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do it in one transaction that is on disk afterwards."""
        if self._is_closed:
            raise ServiceUnavailable

        def run() -> Result:
            if self._connection is None:
                self._connection = _opened(self._file)
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                return work(self._connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, run)
        except (sqlite3.Error, OSError) as error:
            log_failure("idempotency", error)
            raise ServiceUnavailable from None


@dataclass(frozen=True, slots=True)
class _Kept:
    owner: str
    claimed_at: datetime
    outcome: Outcome

    @property
    def size(self) -> int:
        return len(self.outcome) if isinstance(self.outcome, bytes) else _SIZE_OF_AN_ERROR


class _Outcomes:
    """What works came to, by their names; the oldest give way to what does not fit."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    def get(self, work: str, now: datetime) -> Outcome | None:
        kept = self._kept.get(work)
        if kept is None or kept.claimed_at <= now - KEEP:
            return None
        return kept.outcome

    def put(self, work: str, kept: _Kept) -> None:
        if kept.size > min(_LONGEST_ANSWER, self._most_bytes):
            return
        self._drop([work])
        self._kept[work] = kept
        self._bytes += kept.size
        while self._bytes > self._most_bytes:
            self._drop([next(iter(self._kept))])

    def forget(self, owner: str) -> None:
        self._drop([work for work, kept in self._kept.items() if kept.owner == owner])

    def sweep(self, oldest: datetime) -> None:
        self._drop([work for work, kept in self._kept.items() if kept.claimed_at <= oldest])

    def _drop(self, works: Iterable[str]) -> None:
        for work in works:
            if (kept := self._kept.pop(work, None)) is not None:
                self._bytes -= kept.size


def _opened(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    file.chmod(0o600)
    # A claim that a power cut could take back would let its work be paid for twice.
    connection.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {_SCHEMA}")
    return connection


def _row(claim: Claim) -> tuple[str | int, ...]:
    return (
        claim.key,
        claim.owner,
        claim.fingerprint,
        claim.work,
        claim.process,
        claim.state.value,
        microseconds(claim.claimed_at),
        microseconds(claim.lease_until),
    )


def _claim(
    key: str,
    owner: str,
    fingerprint: str,
    work: str,
    process: str,
    state: str,
    claimed_at: int,
    lease_until: int,
) -> Claim:
    return Claim(
        key,
        owner,
        fingerprint,
        work,
        process,
        ClaimState(state),
        moment(claimed_at),
        moment(lease_until),
    )
