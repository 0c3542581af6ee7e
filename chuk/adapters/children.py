"""Child processes for heavy or risky work: one that stays warm, and what all of them share.

Those for one job alone come from `chuk.adapters.fork_server`; `chuk.adapters.child` says what a
module for either looks like. A child has a group of its own, the last claim to the processor, a
memory cap, a CPU limit, no network, nothing of our environment, and a folder of its own that is
gone with it; none outlives its job, its parent or its time.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Protocol

import orjson

from chuk.adapters.child import ANSWER, PIECE, REFUSED
from chuk.adapters.confinement import end_group
from chuk.logs import logger

_log = logger("children")
LONGEST_ANSWER = 32 * 2**20
_READ_AHEAD = 2**18
_HEAD = 5
_CHILD = "chuk.adapters.child"
# An editable installation finds it by a hook, which `-S` leaves out.
_OWN_CODE = Path(__file__).parents[2]


class ChildFailed(Exception):
    """The child died, or failed at something that is not its input's fault."""


class ChildTimeout(ChildFailed):
    """The child took too long and was ended."""


class ChildRefused(Exception):
    """What the child said of its input.

    Attributes:
        code: of the `ChukError` that it raised.
        message, details: as there.
    """

    def __init__(self, code: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.details = dict(details)


class RunOnce(Protocol):
    """Lets a process of its own answer one request; `chuk.adapters.fork_server` does."""

    async def __call__(
        self, module: str, request: Mapping[str, Any], *, timeout: float, memory: int, cpu: float
    ) -> dict[str, Any]:
        """The module's answer. Cancelling ends the process at once.

        Args:
            module: has `answer`, see `chuk.adapters.child`.
            timeout: seconds, its start included.
            memory: bytes of address space.
            cpu: seconds.

        Raises:
            ChildRefused: the input is at fault.
            ChildTimeout: it took longer.
            ChildFailed: it died, or failed.
        """
        ...


class WarmWorker:
    """A process that keeps what is slow to load; started at its first job, and after a crash anew.

    It does one job at a time; others wait for it in the order they came.

    Args:
        module: has `answer` or `stream`, see `chuk.adapters.child`.
        memory: bytes of address space.
        idle: seconds without a job after which it is ended.
        cpu: seconds for one job, over all its threads.
    """

    def __init__(self, module: str, *, memory: int, idle: float, cpu: float = 240.0) -> None:
        self._module = module
        self._idle = idle
        self._orders = {"module": module, "parent": os.getpid(), "memory": memory, "cpu": cpu}
        self._lock = asyncio.Lock()
        self._child: asyncio.subprocess.Process | None = None
        self._folder: Path | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._retirement: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def process_id(self) -> int | None:
        """The process's id while there is one."""
        return None if self._child is None else self._child.pid

    async def ask(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """The module's answer. Cancelling it ends the process.

        Args:
            timeout: seconds from when its turn comes, loading included.

        Raises:
            ChildRefused: the input is at fault.
            ChildTimeout: it took longer, and was ended.
            ChildFailed: it died, or failed.
        """
        async with aclosing(self._frames(request, timeout, streams=False)) as frames:
            kind, body = await anext(frames)
        return answered(self._module, kind, body)

    async def stream(self, request: Mapping[str, Any], *, timeout: float) -> AsyncIterator[bytes]:
        """The pieces that the module's `stream` yields; leaving early ends the process.

        Args:
            timeout: seconds for each next piece, for the first one loading included.

        Raises:
            ChildRefused, ChildTimeout, ChildFailed: as `ask`; pieces may have come before.
        """
        async with aclosing(self._frames(request, timeout, streams=True)) as frames:
            async for kind, body in frames:
                if kind == PIECE:
                    yield body
                else:
                    answered(self._module, kind, body)

    async def close(self) -> None:
        """End the process and wait for it; a job that runs fails. Idempotent."""
        self._is_closed = True
        if self._retirement is not None:
            await asyncio.wait({self._retirement})
        await self._stop()

    async def _frames(
        self, request: Mapping[str, Any], timeout: float, *, streams: bool
    ) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """One job's frames up to its last; a process that is left before that is ended."""
        async with self._lock:
            is_over = False
            try:
                child = await self._started()
                call = {"streams": streams, "request": request}
                async with asyncio.timeout(timeout):
                    await _tell(child, call)
                while not is_over:
                    async with asyncio.timeout(timeout):
                        kind, body = await next_frame(_stdout(child))
                    is_over = kind != PIECE
                    yield kind, body
            except TimeoutError:
                _log.warning("child failed", module=self._module, reason="took too long")
                raise ChildTimeout(f"{self._module} took more than {timeout:g} s") from None
            except (EOFError, OSError):
                # As when the kernel has ended it, because memory was short.
                if not self._is_closed:
                    _log.warning("child failed", module=self._module, reason="died")
                raise ChildFailed(f"{self._module} died") from None
            finally:
                if not is_over:
                    await self._stop()
                self._rest()

    async def _started(self) -> asyncio.subprocess.Process:
        """The process, started if there is none, or if it died meanwhile."""
        if self._is_closed:
            raise ChildFailed(f"{self._module} has been stopped")
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._retirement is not None:
            await asyncio.wait({self._retirement})
        if self._child is not None and self._child.returncode is None:
            return self._child
        await self._stop()
        self._folder = Path(tempfile.mkdtemp(prefix="chuk-worker-"))
        self._child = await spawn(_CHILD, self._folder)
        await _tell(self._child, self._orders)
        _log.info("worker started", module=self._module, process=self._child.pid)
        return self._child

    async def _stop(self) -> None:
        child, self._child = self._child, None
        folder, self._folder = self._folder, None
        try:
            if child is not None:
                await end(child)
        finally:
            if folder is not None:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _rest(self) -> None:
        """End the process later, unless there is something to do before."""
        if self._child is not None and not self._is_closed:
            self._expiry = asyncio.get_running_loop().call_later(self._idle, self._retire)

    def _retire(self) -> None:
        self._expiry = None
        if not self._lock.locked():
            self._retirement = asyncio.create_task(self._stop(), name="idle worker ends")


async def spawn(module: str, folder: Path) -> asyncio.subprocess.Process:
    """Start a process of our own code in a folder, to talk with it."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        # Not what lies in the folder it works in, but our own modules; and without reading first
        # what else is installed, which takes as long as a small file.
        "-P",
        "-S",
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=_READ_AHEAD,
        cwd=folder,
        # Nothing of our environment, which holds keys; only where the modules are.
        env={
            "PYTHONPATH": os.pathsep.join(filter(None, (str(_OWN_CODE), *sys.path))),
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.defpath,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            # Models are in wheels; nothing is to look for others.
            "HF_HUB_OFFLINE": "1",
            # Each heap of a thread takes 64 MB of the address space that is capped.
            "MALLOC_ARENA_MAX": "2",
            # Its threads wait by turning in circles, which costs whoever else needs the core.
            "OPENBLAS_NUM_THREADS": "1",
        },
    )


def _stdin(child: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    assert child.stdin is not None
    return child.stdin


def _stdout(child: asyncio.subprocess.Process) -> asyncio.StreamReader:
    assert child.stdout is not None
    return child.stdout


async def _tell(child: asyncio.subprocess.Process, message: Mapping[str, Any]) -> None:
    """Write one line of JSON; a child that is gone is found out when it is read or waited for."""
    with suppress(ConnectionError):
        _stdin(child).write(json.dumps(message).encode() + b"\n")
        await _stdin(child).drain()


async def next_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The next frame: its kind and its body.

    Raises:
        EOFError: whoever writes has ended, or makes no sense.
    """
    head = await reader.readexactly(_HEAD)
    length = int.from_bytes(head[1:], "big")
    if length > LONGEST_ANSWER:
        raise EOFError
    return head[:1], await reader.readexactly(length)


def framed(kind: bytes, body: bytes) -> bytes:
    """A frame as `next_frame` reads it."""
    return kind + len(body).to_bytes(_HEAD - 1, "big") + body


def answered(module: str, kind: bytes, body: bytes) -> dict[str, Any]:
    """What a last frame means.

    Raises:
        ChildRefused: the input is at fault.
        ChildFailed: anything else went wrong.
    """
    try:
        said: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        # Half a character, say, which JSON can be made to carry.
        raise ChildFailed(f"{module} answered what is no JSON") from None
    if kind == REFUSED:
        raise ChildRefused(said["code"], said["message"], said["details"])
    if kind != ANSWER:
        _log.warning("child failed", module=module, reason=said)
        raise ChildFailed(f"{module}: {said}")
    answer: dict[str, Any] = said
    return answer


async def end(child: asyncio.subprocess.Process) -> None:
    """Kill the child and all that it started, and reap it."""
    end_group(child.pid, is_buried=child.returncode is not None)
    if child.stdin is not None:
        child.stdin.close()
    await child.wait()
