"""However a job of a child ends, nothing of it is left: no process, no file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.child_jobs import (
    WORK,
    Once,
    a_worker,
    all_end,
    ask,
    helpers_of,
    is_alive,
    run_out_of_time,
)

pytestmark = pytest.mark.usefixtures("temporary_folder")


async def test_a_job_that_takes_too_long_is_ended_with_all_that_it_started(
    once: Once,
    tmp_path: Path,
) -> None:
    note, other = tmp_path / "note", tmp_path / "other"
    processes = await run_out_of_time(
        lambda seconds: once("wait", note=str(note), timeout=seconds), note
    )
    await all_end(*processes)
    async with a_worker() as worker:
        processes = await run_out_of_time(
            lambda seconds: ask(worker, "wait", note=str(other), timeout=seconds), other
        )
        assert worker.process_id is None
    await all_end(*processes)


@pytest.mark.parametrize("wanders", [False, True])
@pytest.mark.parametrize("is_warm", [False, True])
async def test_a_job_that_is_cancelled_is_ended_with_all_that_it_started(
    once: Once, tmp_path: Path, is_warm: bool, wanders: bool
) -> None:
    note = tmp_path / "note"
    todo: dict[str, Any] = {"todo": "wait", "note": str(note), "wanders": wanders}
    async with a_worker() as worker:
        job = asyncio.create_task(ask(worker, **todo) if is_warm else once(**todo))
        processes = await helpers_of(note)
        assert all(is_alive(process) for process in processes)
        job.cancel()
        await asyncio.wait({job})
        assert job.cancelled()
        await all_end(*processes)


async def test_a_job_cancelled_before_it_began_leaves_nothing(once: Once) -> None:
    for turns in range(6):
        job = asyncio.create_task(once("tell"))
        for _ in range(turns):
            await asyncio.sleep(0)
        job.cancel()
        await asyncio.wait({job})
        assert job.cancelled()


async def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path) -> None:
    notes = [str(tmp_path / name) for name in ("note", "warm")]
    script = f"""
import asyncio
from chuk.adapters.children import WarmWorker
from chuk.adapters.fork_server import ForkServer

async def main():
    forks = ForkServer()
    worker = WarmWorker({WORK!r}, memory=2**30, idle=60)
    once, warm = ({{"todo": "wait", "note": note}} for note in {notes!r})
    await asyncio.gather(
        forks.run({WORK!r}, once, timeout=60, memory=2**30, cpu=9),
        worker.ask(warm, timeout=60),
    )

asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
    )
    try:
        processes = [await helpers_of(Path(note)) for note in notes]
    finally:
        parent.kill()
        await parent.wait()
    for child, helper in processes:
        await all_end(child)
        # Of a helper nobody but its own parent knows; the server's children have none.
        os.kill(helper, signal.SIGKILL)
