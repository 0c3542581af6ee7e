"""A warm worker of the machine's host is like one's own, and there is one for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from chuk.adapters.children import ChildFailed, ChildRefused, ChildTimeout
from chuk.adapters.embedded.host import Host
from chuk.adapters.embedded.remote_worker import RemoteWorker
from chuk.adapters.embedded.wire import listening_at
from tests.adapters.child_jobs import WORK, all_end, helpers_of, is_alive, run_out_of_time

MEMORY = 2**30

pytestmark = pytest.mark.usefixtures("temporary_folder")


@asynccontextmanager
async def a_host(path: Path) -> AsyncIterator[Host]:
    """A host that listens at this path."""
    host = Host()
    await host.start(listening_at(path))
    try:
        yield host
    finally:
        await host.close()
        path.unlink()


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """Where a host listens. The path is longer than the address of a socket may be."""
    folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
    folder.mkdir(parents=True)
    async with a_host(folder / "host"):
        yield folder / "host"


def a_worker(path: Path) -> RemoteWorker:
    """One as each process of the server has it."""
    return RemoteWorker(path, WORK, memory=MEMORY, idle=60, cpu=20)


async def ask(
    worker: RemoteWorker, todo: str, *, timeout: float = 30, **more: Any
) -> dict[str, Any]:
    """One job."""
    return await worker.ask({"todo": todo, **more}, timeout=timeout)


async def test_two_who_ask_have_one_process_which_takes_one_job_at_a_time(path: Path) -> None:
    one, other = a_worker(path), a_worker(path)
    told = await asyncio.gather(*(ask(worker, "tell") for worker in (one, other, one, other)))
    assert len({answer["process"] for answer in told}) == 1
    assert sorted(answer["jobs"] for answer in told) == [1, 2, 3, 4]
    # Who leaves takes nothing from the others.
    await one.close()
    assert (await ask(other, "tell"))["process"] == told[0]["process"]
    with pytest.raises(ChildFailed):
        await ask(one, "tell")


async def test_every_end_of_a_job_is_what_it_would_be_here(path: Path) -> None:
    worker = a_worker(path)
    assert await ask(worker, "echo", say="ä\n\0🦓") == {"said": "ä\n\0🦓"}
    with pytest.raises(ChildRefused) as caught:
        await ask(worker, "unsupported")
    assert caught.value.code == "UNSUPPORTED_FORMAT"
    assert caught.value.details == {"format": "exe", "supported": ["pdf"]}
    for todo in ("stumble", "half_a_letter", "die"):
        with pytest.raises(ChildFailed) as failed:
            await ask(worker, todo)
        assert not isinstance(failed.value, ChildTimeout)
        assert "somebody" not in str(failed.value)


async def test_a_job_that_takes_too_long_is_ended(path: Path, tmp_path: Path) -> None:
    note = tmp_path / "note"
    worker = a_worker(path)
    processes = await run_out_of_time(
        lambda seconds: ask(worker, "wait", note=str(note), timeout=seconds), note
    )
    await all_end(*processes)


async def test_whoever_gives_up_ends_the_work_and_the_next_one_is_served(
    path: Path, tmp_path: Path
) -> None:
    one, other = a_worker(path), a_worker(path)
    job = asyncio.create_task(ask(one, "wait", note=str(tmp_path / "note")))
    processes = await helpers_of(tmp_path / "note")
    waiting = asyncio.create_task(ask(other, "tell"))
    job.cancel()
    await asyncio.wait({job})
    await all_end(*processes)
    assert (await waiting)["jobs"] == 1


async def test_closing_ends_the_job_that_runs(path: Path, tmp_path: Path) -> None:
    worker = a_worker(path)
    job = asyncio.create_task(ask(worker, "wait", note=str(tmp_path / "note")))
    process, _ = await helpers_of(tmp_path / "note")
    await worker.close()
    with pytest.raises(ChildFailed):
        await job
    await all_end(process)


async def test_a_stream_comes_in_pieces_and_leaving_it_ends_the_work(path: Path) -> None:
    worker = a_worker(path)
    lengths = [1, 0, 3_000_000, 7]
    pieces = worker.stream({"lengths": lengths}, timeout=30)
    assert [len(piece) async for piece in pieces] == lengths
    refused = worker.stream({"lengths": [5], "then": "corrupt"}, timeout=30)
    assert len(await anext(refused)) == 5
    with pytest.raises(ChildRefused):
        await anext(refused)
    first = (await ask(worker, "tell"))["process"]
    endless: Any = worker.stream({"lengths": [1] * 300_000}, timeout=30)
    async with aclosing(cast(Any, endless)) as coming:
        async for _ in coming:
            break
    await all_end(first)
    assert (await ask(worker, "tell"))["process"] != first


async def test_a_host_that_goes_fails_its_jobs_and_the_next_one_has_the_next(
    tmp_path: Path,
) -> None:
    worker = a_worker(tmp_path / "host")
    with pytest.raises(ChildFailed):
        await ask(worker, "tell")
    async with a_host(tmp_path / "host"):
        job = asyncio.create_task(ask(worker, "wait", note=str(tmp_path / "note")))
        process, _ = await helpers_of(tmp_path / "note")
    with pytest.raises(ChildFailed):
        await job
    assert not is_alive(process)
    async with a_host(tmp_path / "host"):
        assert (await ask(worker, "tell"))["jobs"] == 1
