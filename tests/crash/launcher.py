"""Runs a module as `python -m` would, in a process that can be told to die at a commit.

    CRASH_PLAN=plan python -m tests.crash.launcher chuk serve

Every connection that the module opens to SQLite is watched. While the file of the plan holds
`<name> before 3`, the process kills itself as the third commit since the plan of that name begins,
or, with `after`, when it has succeeded and nobody has heard of it yet. Only commits of changes
count: what merely looks does not. The code that runs knows nothing of this.
"""

from __future__ import annotations

import functools
import os
import runpy
import signal
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any


class Plan:
    """What the file says, and how many commits there were since it says so."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._text = ""
        self._commits = 0

    def begins(self) -> bool:
        """Count a commit that is about to happen; true where to die after it."""
        with self._lock:
            text = self._file.read_text("utf-8") if self._file.exists() else ""
            if text != self._text:
                self._text, self._commits = text, 0
            if not text:
                return False
            self._commits += 1
            _name, moment, number = text.split()
            if self._commits != int(number):
                return False
            if moment == "before":
                die()
            return moment == "after"


def die() -> None:
    """What the machine's power failure or the kernel's memory killer would do to the process."""
    os.kill(os.getpid(), signal.SIGKILL)


class Watched(sqlite3.Connection):
    """A connection that tells the plan of its commits."""

    plan: Plan

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._changes = 0
        self._dies_after = False
        self.set_trace_callback(self._about_to_run)

    def _about_to_run(self, statement: str) -> None:
        word = statement.lstrip().partition(" ")[0].rstrip(";").upper()
        if word in ("COMMIT", "END") and self.total_changes != self._changes:
            self._changes = self.total_changes
            self._dies_after = self.plan.begins()

    def _has_run(self) -> None:
        if self._dies_after and not self.in_transaction:
            die()

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        result = super().execute(*arguments)
        self._has_run()
        return result

    def executescript(self, script: str, /) -> sqlite3.Cursor:
        result = super().executescript(script)
        self._has_run()
        return result

    def commit(self) -> None:
        super().commit()
        self._has_run()

    def __exit__(self, *error: Any) -> Any:
        result = super().__exit__(*error)
        self._has_run()
        return result

    def cursor(self, *_: Any, **__: Any) -> sqlite3.Cursor:
        return super().cursor(functools.partial(_WatchedCursor))


class _WatchedCursor(sqlite3.Cursor):
    """A statement through a cursor may commit as well."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        result = super().execute(*arguments)
        connection = self.connection
        assert isinstance(connection, Watched)
        connection._has_run()
        return result


def main() -> None:
    """Watch, then become the module."""
    Watched.plan = Plan(Path(os.environ["CRASH_PLAN"]))
    sqlite3.connect = functools.partial(sqlite3.connect, factory=Watched)  # type: ignore[assignment]
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
