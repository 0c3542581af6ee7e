"""Jobs for children of every kind, and looks at what is left of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chuk.adapters.children import ChildTimeout, WarmWorker
from tests.harness import eventually

WORK = "tests.adapters.child_work"
MEMORY = 2**30

Once = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@asynccontextmanager
async def a_worker(*, idle: float = 60, cpu: float = 20) -> AsyncIterator[WarmWorker]:
    """A warm worker, ended afterwards."""
    worker = WarmWorker(WORK, memory=MEMORY, idle=idle, cpu=cpu)
    try:
        yield worker
    finally:
        await worker.close()


async def ask(worker: WarmWorker, todo: str, *, timeout: float = 30, **more: Any) -> dict[str, Any]:
    """One job of a warm worker."""
    return await worker.ask({"todo": todo, **more}, timeout=timeout)


def is_alive(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def heap_of(process: int) -> bytes:
    """All that a process keeps in its heap."""
    memory = Path(f"/proc/{process}/maps").read_text().splitlines()
    (heap,) = [line.split()[0] for line in memory if line.endswith("[heap]")]
    start, end = (int(place, 16) for place in heap.split("-"))
    with Path(f"/proc/{process}/mem").open("rb") as held:
        held.seek(start)
        return held.read(end - start)


async def helpers_of(note: Path) -> list[int]:
    """The processes that a job which waits has told of: itself and its helper."""
    await eventually(note.exists, timeout=30)
    return [int(process) for process in note.read_text().split()]


async def all_end(*processes: int) -> None:
    """Wait until none of these processes is alive."""
    for process in processes:
        await eventually(lambda process=process: not is_alive(process))  # type: ignore[misc]


async def run_out_of_time(job: Callable[[float], Awaitable[object]], note: Path) -> list[int]:
    """Have a job that waits ended for its time; returns the processes that it told of.

    Where much else runs it may be ended before it has got that far, so it is given more.

    Args:
        job: begins it with so many seconds.
    """
    for seconds in (1.5, 6.0, 24.0):
        with pytest.raises(ChildTimeout):
            await job(seconds)
        if note.exists():
            break
    return await helpers_of(note)
