"""One SQLite file, off the event loop: one thread writes, one reads.

Writing is a group commit. While the disk makes one transaction durable, callers queue up; the
writer then takes all of them into the next one, so that a busy server pays for far fewer commits
than it has turns. Each caller still gets its own transaction: what fails undoes itself alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar, TypeVarTuple

from chuk.adapters.sqlite.connections import empty_log, open_pair, report
from chuk.adapters.sqlite.scheduling import interrupt_nobody
from chuk.clock import Clock, utc_now
from chuk.errors import ServiceUnavailable

FILE_NAME = "chuk.sqlite3"

_MOST_AT_ONCE = 1000
# A commit costs far more than what stands in it, so that under load they come no faster than
# this: after one of a single caller, and after one that several shared.
_PACE = 0.004
_BUSY_PACE = 0.01

Arguments = TypeVarTuple("Arguments")
Request = TypeVar("Request")
Result = TypeVar("Result")


class _Work:
    """One call that waits for its turn, and what became of it."""

    __slots__ = (
        "arguments",
        "ends",
        "error",
        "function",
        "future",
        "is_one_of_many",
        "notes",
        "result",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        future: asyncio.Future[Any],
        *,
        is_one_of_many: bool = False,
        ends: str | None = None,
        notes: str | None = None,
    ) -> None:
        self.function = function
        self.arguments = arguments
        self.future = future
        self.is_one_of_many = is_one_of_many
        self.ends = ends
        self.notes = notes
        self.result: Any = None
        self.error: Exception | None = None


_Queue = SimpleQueue[_Work | None]


class Database:
    """An open database. Made by `open`; belongs to the event loop that made it.

    Attributes:
        applied: the migrations that opening it applied.
    """

    def __init__(
        self,
        file: Path,
        writer: sqlite3.Connection,
        reader: sqlite3.Connection,
        applied: Sequence[str],
    ) -> None:
        self.applied = applied
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._connections = (reader, writer)
        self._writes: _Queue = SimpleQueue()
        self._reads: _Queue = SimpleQueue()
        self._threads = [
            threading.Thread(
                target=self._serve, args=(connection, queue, run, paces), name=name, daemon=True
            )
            for connection, queue, run, paces, name in (
                (writer, self._writes, _write_all, (_PACE, _BUSY_PACE), "sqlite-writer"),
                (reader, self._reads, _read_all, (0.0, 0.0), "sqlite-reader"),
            )
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    async def open(cls, file: Path, clock: Clock = utc_now) -> Database:
        """Open the file, made and brought to the newest version where it has to be.

        Raises:
            OSError: the folder or the file cannot be made.
            SchemaError: the file is of a newer version than this code.
            ServiceUnavailable: SQLite cannot open it.
        """
        writer, reader, applied = await asyncio.to_thread(open_pair, file, clock)
        return cls(file, writer, reader, applied)

    async def close(self) -> None:
        """Do what is queued, then close. What comes later is refused."""
        if self._is_open:
            self._is_open = False
            self._writes.put(None)
            self._reads.put(None)
        await asyncio.to_thread(self._end)

    def write(
        self,
        function: Callable[[sqlite3.Connection, *Arguments], Result],
        *arguments: *Arguments,
    ) -> asyncio.Future[Result]:
        """Run a function in a transaction; its result comes when it is on disk.

        The function may run twice when another one fails beside it: it changes nothing but the
        database. An error it raises undoes what it did, and nothing else.

        Raises:
            ServiceUnavailable: the database cannot be used now; nothing happened.
        """
        return self._put(self._writes, _Work(function, arguments, self._loop.create_future()))

    def write_many(
        self,
        function: Callable[[sqlite3.Connection, Sequence[Request]], Sequence[Result | Exception]],
        request: Request,
        *,
        ends: str | None = None,
    ) -> asyncio.Future[Result]:
        """The same, for a function that takes every request of one commit at once.

        It answers each with its result, or with an error that changed nothing.

        Args:
            ends: the hold that ends with it; a note about it in the same commit is left out.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        work = _Work(function, (request,), future, is_one_of_many=True, ends=ends)
        return self._put(self._writes, work)

    def write_note(
        self,
        hold_id: str,
        function: Callable[[sqlite3.Connection, *Arguments], None],
        *arguments: *Arguments,
    ) -> asyncio.Future[None]:
        """The same, for a note about a hold; left out where the hold ends in the same commit."""
        future: asyncio.Future[None] = self._loop.create_future()
        return self._put(self._writes, _Work(function, arguments, future, notes=hold_id))

    def read(
        self,
        function: Callable[[sqlite3.Connection, *Arguments], Result],
        *arguments: *Arguments,
    ) -> asyncio.Future[Result]:
        """Run a function that only reads, on one consistent state of everything."""
        return self._put(self._reads, _Work(function, arguments, self._loop.create_future()))

    async def empty_log(self) -> None:
        """Let the older versions of all rows go, in which what is deleted can still be read.

        Raises:
            ServiceUnavailable: somebody still reads them, or the disk refuses.
        """
        await asyncio.to_thread(empty_log, self._file)

    def _put(self, queue: _Queue, work: _Work) -> asyncio.Future[Any]:
        if not self._is_open:
            raise ServiceUnavailable
        queue.put(work)
        return work.future

    def _serve(
        self,
        connection: sqlite3.Connection,
        queue: _Queue,
        run: Callable[[sqlite3.Connection, list[_Work]], None],
        paces: tuple[float, float],
    ) -> None:
        interrupt_nobody()
        is_last = False
        begun = pace = 0.0
        while not is_last:
            batch: list[_Work] = []
            work = queue.get()
            wait = begun + pace - time.monotonic()
            if wait > 0 and work is not None:
                time.sleep(wait)
            begun = time.monotonic()
            while work is not None:
                batch.append(work)
                if len(batch) == _MOST_AT_ONCE or queue.empty():
                    break
                work = queue.get()
            is_last = work is None
            pace = paces[len(batch) > 1]
            if batch:
                try:
                    run(connection, batch)
                except Exception as error:
                    # A thread that died would leave every caller waiting for ever.
                    for work in batch:
                        work.error = error
            # A loop that was closed has nobody left to tell.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(_tell, batch)

    def _end(self) -> None:
        for thread in self._threads:
            thread.join()
        # The last to close empties the log into the file. Two that close at the same moment each
        # take the other for the last one, and the log stays.
        for connection in self._connections:
            connection.close()


def _write_all(connection: sqlite3.Connection, batch: list[_Work]) -> None:
    """All in one commit; when one of them breaks, each in its own."""
    ends = {work.ends: work for work in batch if work.ends is not None}
    needless = [work for work in batch if work.notes in ends] if ends else []
    needed = [work for work in batch if work not in needless] if needless else batch
    _write_together(connection, needed)
    # A hold that did not end after all still needs its notes.
    notes = [
        work for work in needless if work.notes is not None and ends[work.notes].error is not None
    ]
    if notes:
        _write_together(connection, notes)


def _write_together(connection: sqlite3.Connection, works: list[_Work]) -> None:
    if not _transaction(connection, works) and len(works) > 1:
        for work in works:
            _transaction(connection, [work])


def _transaction(connection: sqlite3.Connection, batch: list[_Work]) -> bool:
    """Whether every error in it was a refusal, raised before anything was changed."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for function, works in _gathered(batch):
            before = connection.total_changes
            try:
                _run(connection, function, works)
            except Exception as error:
                for work in works:
                    work.error = _translated(error)
                is_undone = connection.total_changes == before and connection.in_transaction
                if not is_undone or len(works) > 1:
                    _roll_back(connection)
                    return False
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(connection)
        report(error)
        for work in batch:
            work.error = work.error or ServiceUnavailable()
    return True


def _gathered(batch: list[_Work]) -> Iterator[tuple[Callable[..., Any], list[_Work]]]:
    """The works of a batch, those together that one call can do."""
    many: dict[Callable[..., Any], list[_Work]] = {}
    for work in batch:
        work.error = None
        if work.is_one_of_many:
            many.setdefault(work.function, []).append(work)
        else:
            yield work.function, [work]
    yield from many.items()


def _run(connection: sqlite3.Connection, function: Callable[..., Any], works: list[_Work]) -> None:
    if not works[0].is_one_of_many:
        works[0].result = function(connection, *works[0].arguments)
        return
    results = function(connection, [work.arguments[0] for work in works])
    for work, result in zip(works, results, strict=True):
        if isinstance(result, Exception):
            work.error = result
        else:
            work.result = result


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite undoes everything by itself after some errors of the disk.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _read_all(connection: sqlite3.Connection, batch: list[_Work]) -> None:
    for work in batch:
        try:
            connection.execute("BEGIN")
            try:
                work.result = work.function(connection, *work.arguments)
            finally:
                _roll_back(connection)
        except Exception as error:
            work.error = _translated(error)


def _tell(batch: list[_Work]) -> None:
    for work in batch:
        # Its caller may have been cancelled meanwhile.
        if work.future.done():
            continue
        if work.error is None:
            work.future.set_result(work.result)
        else:
            work.future.set_exception(work.error)


def _translated(error: Exception) -> Exception:
    """What the disk does is no defect of ours; a broken constraint is."""
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        report(error)
        return ServiceUnavailable()
    return error
