"""A warm worker does one job after another, and is replaced when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from chuk.adapters.children import ChildFailed, ChildRefused
from tests.adapters.child_jobs import (
    a_worker,
    all_end,
    ask,
    helpers_of,
    is_alive,
)
from tests.harness import eventually

pytestmark = pytest.mark.usefixtures("temporary_folder")


async def test_a_warm_worker_stays_and_takes_one_job_at_a_time() -> None:
    async with a_worker() as worker:
        assert worker.process_id is None
        told = await asyncio.gather(*(ask(worker, "tell") for _ in range(5)))
        assert len({one["process"] for one in told}) == 1
        assert [one["jobs"] for one in told] == [1, 2, 3, 4, 5]
        assert worker.process_id == told[0]["process"]
        with pytest.raises(ChildRefused):
            await ask(worker, "corrupt")
        assert (await ask(worker, "tell"))["process"] == worker.process_id


async def test_a_warm_worker_killed_from_outside_is_replaced() -> None:
    async with a_worker() as worker:
        first = (await ask(worker, "tell"))["process"]
        os.kill(first, signal.SIGKILL)
        await all_end(first)
        # It may take a moment until the loop has heard of it; a job in that moment fails.
        try:
            second = (await ask(worker, "tell"))["process"]
        except ChildFailed:
            second = (await ask(worker, "tell"))["process"]
        assert second != first


async def test_one_who_gives_up_waiting_disturbs_nobody() -> None:
    async with a_worker() as worker:
        process = (await ask(worker, "tell"))["process"]
        first = asyncio.create_task(ask(worker, "tell"))
        second = asyncio.create_task(ask(worker, "tell"))
        await asyncio.sleep(0)
        second.cancel()
        assert (await first)["process"] == process
        await asyncio.wait({second})
        assert (await ask(worker, "tell"))["process"] == process


async def test_a_warm_worker_with_nothing_to_do_is_ended_and_comes_back() -> None:
    async with a_worker(idle=0.05) as worker:
        first = (await ask(worker, "tell"))["process"]
        await eventually(lambda: worker.process_id is None)
        await all_end(first)
        assert (await ask(worker, "tell"))["process"] != first


async def test_a_closed_worker_takes_no_more_jobs_and_ends_the_one_it_has(
    tmp_path: Path,
) -> None:
    async with a_worker() as worker:
        job = asyncio.create_task(ask(worker, "wait", note=str(tmp_path / "note")))
        child, _ = await helpers_of(tmp_path / "note")
        await worker.close()
        with pytest.raises(ChildFailed):
            await job
        assert not is_alive(child)
        with pytest.raises(ChildFailed):
            await ask(worker, "tell")
        await worker.close()


async def test_a_stream_comes_in_pieces_and_ends_with_its_kind() -> None:
    async with a_worker() as worker:
        lengths = [1, 0, 3_000_000, 7]
        request = {"lengths": lengths}
        assert [len(piece) async for piece in worker.stream(request, timeout=30)] == lengths
        for then, kind in (("corrupt", ChildRefused), ("stumble", ChildFailed)):
            pieces = worker.stream({"lengths": [5], "then": then}, timeout=30)
            assert len(await anext(pieces)) == 5
            with pytest.raises(kind):
                await anext(pieces)


async def test_leaving_a_stream_ends_the_worker_and_the_next_job_finds_a_new_one() -> None:
    async with a_worker() as worker:
        first = (await ask(worker, "tell"))["process"]
        pieces = worker.stream({"lengths": [1] * 10_000_000}, timeout=30)
        async for _ in pieces:
            break
        await pieces.aclose()  # type: ignore[attr-defined]
        assert not is_alive(first)
        assert (await ask(worker, "tell"))["process"] != first
