"""The launcher kills exactly where it is told to."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.servers import LAUNCHER
from tests.processes import run_module

WAYS = ("statement", "cursor", "method", "block")


async def run(folder: Path, way: str, plan: str) -> tuple[int, list[int], list[int]]:
    """The exit code, what is in the database, and what the process knew of."""
    (folder / "plan").write_text(plan)
    finished = await run_module(
        (LAUNCHER, "tests.crash.three_commits", way),
        folder=folder,
        environ={"CRASH_PLAN": str(folder / "plan")},
    )
    with closing(sqlite3.connect(folder / "rows.db")) as connection:
        rows = [number for (number,) in connection.execute("SELECT number FROM rows")]
    return finished.code, rows, [int(line) for line in finished.out.split()]


@pytest.mark.parametrize("way", WAYS)
async def test_before_the_commit_nothing_of_it_is_there(tmp_path: Path, way: str) -> None:
    assert await run(tmp_path, way, "a before 2") == (-signal.SIGKILL, [1], [1])


@pytest.mark.parametrize("way", WAYS)
async def test_after_the_commit_all_of_it_is_there_and_nobody_knows(
    tmp_path: Path, way: str
) -> None:
    assert await run(tmp_path, way, "a after 2") == (-signal.SIGKILL, [1, 2], [1])


@pytest.mark.parametrize("plan", ["", "a before 4", "a after 4"])
async def test_without_such_a_commit_it_lives(tmp_path: Path, plan: str) -> None:
    assert await run(tmp_path, "statement", plan) == (0, [1, 2, 3], [1, 2, 3])
