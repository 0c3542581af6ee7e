"""One-shot children, forked from a small process that has loaded what they need.

A child that is started from the server itself costs the server: its memory map is copied, in the
event loop's own thread, while every stream waits. And each would load its libraries anew, which
takes longer than reading most files. So one helper is started at the first job, and forks.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chuk.adapters.child import ANSWER_FILE, FAILED, ORDERS_FILE
from chuk.adapters.children import (
    LONGEST_ANSWER,
    ChildFailed,
    ChildTimeout,
    answered,
    end,
    spawn,
)
from chuk.adapters.confinement import end_group
from chuk.logs import logger

_MODULE = "chuk.adapters.fork_server_child"
_IDLE = 600.0
# Reading the libraries from a slow disk takes seconds.
_PATIENCE = 60.0

_log = logger("children")


@dataclass(slots=True)
class _Child:
    """A child of the helper; `code` comes when it is over, and is an error when that is not known.

    Attributes:
        process: its id, which is that of its group too.
    """

    process: int
    code: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class _Helper:
    """The helper while it lives."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.is_alive = True
        self._process = process
        self._numbers = 0
        self._forking: dict[str, asyncio.Future[_Child]] = {}
        self._children: dict[int, _Child] = {}
        self._listening = asyncio.create_task(self._listen(), name="fork server")

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def is_idle(self) -> bool:
        return not self._forking and not self._children

    def fork(self, folder: Path) -> asyncio.Future[_Child]:
        """Ask for a child that works in this folder."""
        self._numbers += 1
        number = str(self._numbers)
        forked = self._forking[number] = asyncio.get_running_loop().create_future()
        self._say(f"fork {number} {folder}")
        return forked

    async def end(self, child: _Child) -> None:
        """Kill a child with all that it started, and wait until it is buried."""
        if not child.code.done():
            # By ourselves too: the helper may have to wait for the processor. Until it says that
            # a child is over, the child's id is nobody else's.
            end_group(child.process)
            self._say(f"end {child.process}")
        await asyncio.wait({child.code})

    async def close(self) -> None:
        """End it, and whatever it still has with it."""
        for child in self._children.values():
            end_group(child.process)
        await end(self._process)
        await self._listening

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        # Of one that is gone `_listen` learns.
        with suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(line.encode() + b"\n")

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                self._heard(*line.decode().split())
        finally:
            self.is_alive = False
            for forking in self._forking.values():
                _fail(forking)
            for child in self._children.values():
                _fail(child.code)
            self._forking.clear()
            self._children.clear()

    def _heard(self, word: str, *words: str) -> None:
        if word == "forked":
            child = self._children[int(words[1])] = _Child(int(words[1]))
            child.code.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._forking.pop(words[0]).set_result(child)
        elif word == "failed":
            _log.warning("no process can be made")
            self._forking.pop(words[0]).set_exception(ChildFailed("no process can be made"))
        elif word == "ended":
            ended = self._children.pop(int(words[0]))
            if not ended.code.done():
                ended.code.set_result(int(words[1]))


def _read_answer(file: Path, code: int) -> tuple[bytes, bytes]:
    """Kind and body of a child's answer; a child without one has failed."""
    if code != 0 or not file.is_file() or file.stat().st_size > LONGEST_ANSWER:
        return FAILED, json.dumps(f"ended with code {code}").encode()
    content = file.read_bytes()
    return content[:1], content[1:]


def _fail(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(ChildFailed("the helper of one-shot children died"))
        # Nobody may be left to hear it.
        waiting.exception()


class ForkServer:
    """Runs one-shot jobs; the helper is started at the first one, and ended when there are none.

    Args:
        preload: modules that the helper loads. None of them may start a thread.
        idle: seconds without a job after which the helper is ended.
        patience: seconds until the helper must be ready; one that hangs is ended then.
    """

    def __init__(
        self, preload: Sequence[str] = (), *, idle: float = _IDLE, patience: float = _PATIENCE
    ) -> None:
        self._preload = tuple(preload)
        self._idle = idle
        self._patience = patience
        self._newborn: asyncio.subprocess.Process | None = None
        self._helper: _Helper | None = None
        self._starting: asyncio.Task[_Helper] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._retirement: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def process_id(self) -> int | None:
        """The helper's process id while there is one."""
        return self._helper.process_id if self._helper and self._helper.is_alive else None

    async def run(
        self, module: str, request: Mapping[str, Any], *, timeout: float, memory: int, cpu: float
    ) -> dict[str, Any]:
        """See `chuk.adapters.children.RunOnce`."""
        folder = Path(tempfile.mkdtemp(prefix="chuk-job-"))
        try:
            orders = {
                "module": module,
                "memory": memory,
                "cpu": cpu,
                "timeout": timeout,
                "request": request,
            }
            await asyncio.to_thread((folder / ORDERS_FILE).write_text, json.dumps(orders))
            try:
                async with asyncio.timeout(timeout):
                    code = await self._worked(folder)
            except TimeoutError:
                raise ChildTimeout(f"{module} took more than {timeout:g} s") from None
            kind, body = await asyncio.to_thread(_read_answer, folder / ANSWER_FILE, code)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return answered(module, kind, body)

    async def close(self) -> None:
        """End the helper; jobs that run fail. Idempotent."""
        self._is_closed = True
        self._forget_expiry()
        if self._retirement is not None:
            await asyncio.wait({self._retirement})
        if self._newborn is not None:
            await end(self._newborn)
        if self._starting is not None:
            await asyncio.wait({self._starting})
        await self._stop()

    async def _worked(self, folder: Path) -> int:
        """Let a child work in the folder, and return its code; however it ends, it is gone then."""
        helper = await self._started()
        forking = helper.fork(folder)
        try:
            child = await asyncio.shield(forking)
            return await asyncio.shield(child.code)
        finally:
            await _finished(self._gone(helper, forking))
            self._rest()

    @staticmethod
    async def _gone(helper: _Helper, forking: asyncio.Future[_Child]) -> None:
        with suppress(ChildFailed):
            await helper.end(await forking)

    async def _started(self) -> _Helper:
        if self._is_closed:
            raise ChildFailed("the helper of one-shot children has been stopped")
        self._forget_expiry()
        if self._retirement is not None:
            await asyncio.wait({self._retirement})
        if self._helper is not None and self._helper.is_alive:
            return self._helper
        if self._starting is None:
            # Not the job's own: others wait for it too, and this one may be given up.
            self._starting = asyncio.create_task(self._start(), name="fork server starts")
            self._starting.add_done_callback(self._note_start)
        return await asyncio.shield(self._starting)

    async def _start(self) -> _Helper:
        await self._stop()
        # It writes nothing, and each child has a folder of its own.
        process = self._newborn = await spawn(_MODULE, Path(os.sep))
        is_ready = False
        try:
            async with asyncio.timeout(self._patience):
                is_ready = await self._is_ready(process)
        except TimeoutError:
            _log.warning("fork server hangs", process=process.pid)
        finally:
            self._newborn = None
            if not is_ready:
                await end(process)
        if not is_ready:
            raise ChildFailed("the helper of one-shot children cannot be started")
        self._helper = _Helper(process)
        _log.info("fork server started", process=process.pid)
        return self._helper

    async def _is_ready(self, process: asyncio.subprocess.Process) -> bool:
        """Give it its orders; whether it says that it has done them, and not that it is gone."""
        assert process.stdin is not None and process.stdout is not None
        orders = {"parent": os.getpid(), "preload": self._preload}
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(orders).encode() + b"\n")
        return await process.stdout.readline() == b"ready\n"

    def _note_start(self, started: asyncio.Task[_Helper]) -> None:
        self._starting = None
        if not started.cancelled():
            # Whoever waited for it may be gone.
            started.exception()

    async def _stop(self) -> None:
        helper, self._helper = self._helper, None
        if helper is not None:
            await helper.close()

    def _forget_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _rest(self) -> None:
        """End the helper later, unless there is something to do before."""
        if self._helper is not None and self._helper.is_idle and not self._is_closed:
            self._forget_expiry()
            self._expiry = asyncio.get_running_loop().call_later(self._idle, self._retire)

    def _retire(self) -> None:
        self._expiry = None
        if self._helper is not None and self._helper.is_idle:
            self._retirement = asyncio.create_task(self._stop(), name="idle fork server ends")


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Do it to its end, whoever is cancelled meanwhile; that is told afterwards."""
    task = asyncio.ensure_future(work)
    was_cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            was_cancelled = error
    if was_cancelled is not None:
        raise was_cancelled
