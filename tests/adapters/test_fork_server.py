"""One helper forks every child of a single job; it sees none, and holds up nobody when it fails."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from chuk.adapters.children import ChildFailed, ChildTimeout
from chuk.adapters.file_reader import LIBRARIES
from chuk.adapters.fork_server import ForkServer
from tests.adapters.child_jobs import (
    MEMORY,
    WORK,
    Once,
    all_end,
    heap_of,
    helpers_of,
)
from tests.harness import eventually

pytestmark = pytest.mark.usefixtures("temporary_folder")

HANGS = ["tests.adapters.endless_import"]


async def a_job(forks: ForkServer, *, timeout: float = 60) -> None:
    """Any job."""
    await forks.run("nobody.gets.here", {}, timeout=timeout, memory=2**30, cpu=20)


async def test_a_helper_that_hangs_in_its_start_is_ended_and_another_one_tried() -> None:
    forks = ForkServer(HANGS, patience=1.0)
    for _ in range(2):
        with pytest.raises(ChildFailed, match="cannot be started"):
            await a_job(forks)
    await forks.close()


async def test_a_helper_that_hangs_in_its_start_does_not_hold_up_the_end() -> None:
    forks = ForkServer(HANGS)
    with pytest.raises(ChildTimeout):
        await a_job(forks, timeout=1)
    async with asyncio.timeout(20):
        await forks.close()


async def test_the_helper_is_one_for_all_jobs_and_none_sees_what_another_was_given(
    once: Once, forks: ForkServer
) -> None:
    assert forks.process_id is None
    told = await asyncio.gather(*(once("tell") for _ in range(5)))
    assert len({one["process"] for one in told}) == 5
    assert len({one["folder"] for one in told}) == 5
    assert {one["jobs"] for one in told} == {1}
    helper = forks.process_id
    assert helper is not None
    await once("echo", say="what somebody wrote")
    assert forks.process_id == helper
    assert b"what somebody wrote" not in heap_of(helper)


async def test_the_libraries_that_the_helper_loads_leave_it_one_thread() -> None:
    forks = ForkServer([*LIBRARIES, "tests.adapters.nowhere"])
    try:
        request = {"todo": "loaded", "modules": LIBRARIES}
        told = await forks.run(WORK, request, timeout=60, memory=MEMORY, cpu=20)
        assert told == {"loaded": list(LIBRARIES)}
        assert len(list(Path(f"/proc/{forks.process_id}/task").iterdir())) == 1
    finally:
        await forks.close()


async def test_a_helper_that_dies_takes_its_children_along_and_is_replaced(
    once: Once, forks: ForkServer, tmp_path: Path
) -> None:
    job = asyncio.create_task(once("wait", note=str(tmp_path / "note")))
    child, _ = await helpers_of(tmp_path / "note")
    helper = forks.process_id
    assert helper is not None
    os.kill(helper, signal.SIGKILL)
    with pytest.raises(ChildFailed):
        await job
    await all_end(child)
    assert (await once("echo", say="on we go"))["said"] == "on we go"
    assert forks.process_id not in (None, helper)


async def test_a_helper_that_does_not_answer_keeps_nobody_from_ending_a_job(
    once: Once, forks: ForkServer, tmp_path: Path
) -> None:
    job = asyncio.create_task(once("wait", note=str(tmp_path / "note")))
    processes = await helpers_of(tmp_path / "note")
    assert forks.process_id is not None
    os.kill(forks.process_id, signal.SIGSTOP)
    job.cancel()
    await all_end(*processes)
    os.kill(forks.process_id, signal.SIGCONT)
    await asyncio.wait({job})
    assert job.cancelled()


async def test_an_idle_helper_is_ended_and_comes_back() -> None:
    forks = ForkServer(idle=0.05)
    try:
        request = {"todo": "echo", "say": "yes"}
        for _ in range(2):
            await forks.run(WORK, request, timeout=30, memory=MEMORY, cpu=20)
            await eventually(lambda: forks.process_id is None)
    finally:
        await forks.close()


async def test_a_closed_server_ends_its_jobs_and_takes_no_more(
    once: Once, forks: ForkServer, tmp_path: Path
) -> None:
    job = asyncio.create_task(once("wait", note=str(tmp_path / "note")))
    processes = await helpers_of(tmp_path / "note")
    await forks.close()
    with pytest.raises(ChildFailed):
        await job
    await all_end(*processes)
    with pytest.raises(ChildFailed):
        await once("tell")
    await forks.close()
