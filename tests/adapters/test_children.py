"""A child works within its bounds, and nothing of it is left: no process, no file."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chuk.adapters.children import (
    ChildFailed,
    ChildRefused,
    ChildTimeout,
    WarmWorker,
)
from chuk.adapters.file_reader import LIBRARIES
from chuk.adapters.fork_server import ForkServer
from tests.harness import eventually

WORK = "tests.adapters.child_work"
MEMORY = 2**30


pytestmark = pytest.mark.usefixtures("temporary_folder")


Once = Callable[..., Coroutine[Any, Any, dict[str, Any]]]


@pytest.fixture
async def forks() -> AsyncIterator[ForkServer]:
    """What one-shot children are forked from."""
    server = ForkServer()
    yield server
    await server.close()


@pytest.fixture
def once(forks: ForkServer) -> Once:
    """One job in a process of its own."""

    async def once(
        todo: str, *, timeout: float = 30, cpu: float = 20, module: str = WORK, **more: Any
    ) -> dict[str, Any]:
        request = {"todo": todo, **more}
        return await forks.run(module, request, timeout=timeout, memory=MEMORY, cpu=cpu)

    return once


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


async def test_a_job_has_a_process_of_its_own_and_none_of_our_environment(
    once: Once,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "key-of-this-test")
    told = await once("tell")
    assert told["process"] != os.getpid()
    assert told["group"] == told["process"]
    assert "GROQ_API_KEY" not in told["environment"]
    assert not Path(told["folder"]).exists()
    assert not is_alive(told["process"])


async def test_a_child_leaves_the_core_to_the_server_as_soon_as_that_wants_it(once: Once) -> None:
    async with a_worker() as worker:
        for told in (await once("tell"), await ask(worker, "tell")):
            assert told["policy"] == os.SCHED_IDLE
            # Between two sessions the kernel may share the core evenly, whatever the policy.
            assert told["session"] == os.getsid(0)


async def test_what_is_printed_is_no_answer_and_goes_nowhere(
    once: Once,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert await once("print") == {"said": "nothing"}
    async with a_worker() as worker:
        assert await ask(worker, "print") == {"said": "nothing"}
        assert await ask(worker, "echo", say="ä\n\0🦓") == {"said": "ä\n\0🦓"}
    printed = capfd.readouterr()
    assert "somebody" not in printed.out + printed.err


async def test_a_refusal_comes_with_its_code_its_sentence_and_its_details(once: Once) -> None:
    with pytest.raises(ChildRefused) as caught:
        await once("corrupt")
    assert (caught.value.code, caught.value.message) == ("CORRUPT_FILE", "It has no end.")
    with pytest.raises(ChildRefused) as caught:
        await once("unsupported")
    assert caught.value.details == {"format": "exe", "supported": ["pdf"]}


@pytest.mark.parametrize(
    ("todo", "more"),
    [
        ("stumble", {}),
        ("half_a_letter", {}),
        ("die", {}),
        ("leave", {"code": 0}),
        ("leave", {"code": 3}),
        ("gobble", {}),
        ("write_much", {}),
        ("open_many", {}),
    ],
)
async def test_every_other_end_is_one_error(once: Once, todo: str, more: dict[str, Any]) -> None:
    with pytest.raises(ChildFailed) as caught:
        await once(todo, **more)
    assert "somebody" not in str(caught.value)
    async with a_worker() as worker:
        with pytest.raises(ChildFailed):
            await ask(worker, todo, **more)
        assert (await ask(worker, "echo", say="on we go"))["said"] == "on we go"


async def test_a_module_that_is_not_there_is_a_failure(once: Once) -> None:
    with pytest.raises(ChildFailed):
        await once("tell", module="tests.adapters.nowhere")


async def test_time_on_the_processor_is_bounded(once: Once) -> None:
    with pytest.raises(ChildFailed) as caught:
        await once("spin", cpu=1, timeout=60)
    assert not isinstance(caught.value, ChildTimeout)
    async with a_worker(cpu=1) as worker:
        for _ in range(2):
            with pytest.raises(ChildFailed) as caught:
                await ask(worker, "spin", timeout=60)
            assert not isinstance(caught.value, ChildTimeout)


async def test_a_job_that_takes_too_long_is_ended_with_all_that_it_started(
    once: Once,
    tmp_path: Path,
) -> None:
    note = tmp_path / "note"
    with pytest.raises(ChildTimeout):
        await once("wait", note=str(note), timeout=1.5)
    async with a_worker() as worker:
        with pytest.raises(ChildTimeout):
            await ask(worker, "wait", note=str(tmp_path / "other"), timeout=1.5)
        assert worker.process_id is None
    for told in (note, tmp_path / "other"):
        for process in await helpers_of(told):
            await eventually(lambda process=process: not is_alive(process))  # type: ignore[misc]


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
        for process in processes:
            await eventually(lambda process=process: not is_alive(process))  # type: ignore[misc]


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
        await eventually(lambda child=child: not is_alive(child))  # type: ignore[misc]
        # Of a helper nobody but its own parent knows; the server's children have none.
        os.kill(helper, signal.SIGKILL)


async def test_no_child_has_a_network(once: Once) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await once("connect", port=port)
        assert told["error"] == errno.EACCES
        async with a_worker() as worker:
            assert (await ask(worker, "connect", port=port))["error"] == errno.EACCES


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
        await eventually(lambda: not is_alive(first))
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
        await eventually(lambda: not is_alive(first))
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


# What one-shot children are forked from.


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
    await eventually(lambda: not is_alive(child))
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
    for process in processes:
        await eventually(lambda process=process: not is_alive(process))  # type: ignore[misc]
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
    for process in processes:
        await eventually(lambda process=process: not is_alive(process))  # type: ignore[misc]
    with pytest.raises(ChildFailed):
        await once("tell")
    await forks.close()
