"""The embedded language model: a llama.cpp server in a child process, restarted when it dies.

The child speaks the same OpenAI-compatible protocol as any other upstream, on a loopback port and
with a key that only this process knows, so one client serves them all.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path

from chuk.adapters.gguf import WeightsUnavailable, embedded_weights
from chuk.adapters.openai_compatible import Address
from chuk.errors import ModelUnavailable
from chuk.logs import log_failure, logger

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY_AFTER = 60.0
_START_TIMEOUT = 120.0
_STOP_TIMEOUT = 5.0


class _NotLoaded(Exception):
    """A child that never listened. The message says why, in words for the operator."""


class LlamaServer:
    """Supervises one child with one model.

    Args:
        data_dir: the embedded model's weights are put together in its `models` folder.
        model_path: another GGUF file; None means the embedded model.
        context_length: tokens of context for each conversation.
        threads: 0 means one for each core.
    """

    def __init__(
        self, *, data_dir: Path, model_path: Path | None, context_length: int, threads: int
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._model_path = None if model_path is None else model_path.absolute()
        self._context_length = context_length
        self._threads = threads
        self._address: Address | None = None
        # Set while it is known whether the model answers, which is not so while it loads.
        self._settled = asyncio.Event()
        self._settled.set()
        self._problem = "the model has not been started"
        self._change = asyncio.Event()
        # Never, so far.
        self._up_since = math.inf
        self._retry_at = 0.0
        self._pause = _FIRST_PAUSE
        self._supervisor: asyncio.Task[None] | None = None
        self._child: asyncio.subprocess.Process | None = None

    @property
    def is_up(self) -> bool:
        """Whether the model can be asked right now."""
        return self._address is not None

    @property
    def process_id(self) -> int | None:
        """The child's process id while there is one."""
        return None if self._child is None else self._child.pid

    @property
    def problem(self) -> str | None:
        """Why it cannot be asked, for the operator; None while it can, or loads."""
        return self._problem if self._settled.is_set() and self._address is None else None

    @property
    def retry_in(self) -> float:
        """Seconds until it is started again, at the most."""
        return max(0.0, self._retry_at - asyncio.get_running_loop().time())

    @property
    def change(self) -> asyncio.Event:
        """Set when anything of this changes; a new one stands here from then on."""
        return self._change

    def address(self) -> Address:
        """Where to ask.

        Raises:
            ModelUnavailable: the model is loading, or has died and is being restarted.
        """
        if self._address is None:
            raise ModelUnavailable(retry_after=max(1, math.ceil(self.retry_in)))
        return self._address

    async def start(self) -> None:
        """Begin to load; returns at once."""
        if self._supervisor is None:
            self._settled.clear()
            self._supervisor = asyncio.create_task(self._supervise(), name="llama")

    async def ready(self) -> None:
        """Wait until the model can be asked.

        Raises:
            ModelUnavailable: it could not be loaded, or was stopped. The message says why, for the
                operator; it may hold a path. Loading is tried again all the same.
        """
        await self._settled.wait()
        if self._address is None:
            raise ModelUnavailable(self._problem)

    async def close(self) -> None:
        """End the child and wait for it. Idempotent."""
        supervisor = self._supervisor
        if supervisor is not None:
            supervisor.cancel()
            await asyncio.wait({supervisor})
            self._supervisor = None

    async def _supervise(self) -> None:
        """Run children one after the other, with a pause that doubles while they die young."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._settled.clear()
                self._changed()
                self._up_since = math.inf
                problem = await self._problem_of_one_child()
                if clock() - self._up_since > _HEALTHY_AFTER:
                    self._pause = _FIRST_PAUSE
                self._retry_at = clock() + self._pause
                self._stand_still(problem)
                await asyncio.sleep(self._pause)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        except asyncio.CancelledError:
            self._stand_still("the model has been stopped")
            raise
        except Exception as error:
            log_failure("llama", error)
            self._stand_still("the model cannot be run")

    def _stand_still(self, problem: str) -> None:
        self._problem = problem
        self._settled.set()
        self._changed()

    def _changed(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()

    async def _problem_of_one_child(self) -> str:
        """Run one child to its end; return why it ended, or never began. Logs it."""
        try:
            code = await self._run_child()
        except (WeightsUnavailable, _NotLoaded) as error:
            problem = str(error)
        except OSError as error:
            problem = error.strerror or type(error).__name__
        else:
            logger("llama").warning("model process ended", code=code, restart_in=self._pause)
            return f"the model's process ended with code {code}"
        # Said once, not at each of the vain attempts that follow.
        if problem != self._problem:
            logger("llama").error("model unavailable", reason=problem)
        return problem

    async def _run_child(self) -> int:
        """Start a child, announce it, and return its exit code when it is dead."""
        # Hundreds of megabytes are copied and hashed at the first start.
        model = self._model_path
        if model is None:
            model = await asyncio.to_thread(embedded_weights, self._data_dir / "models")
        key = secrets.token_urlsafe(32)
        child = self._child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "chuk.adapters.llama_child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            # Nothing of our environment, which holds keys; only where the modules are.
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            self._address = await self._announced(child, model, key)
            self._up_since = asyncio.get_running_loop().time()
            self._settled.set()
            self._changed()
            logger("llama").info("model loaded", file=model.name, process=child.pid)
            return await child.wait()
        finally:
            self._address = None
            await _end(child)
            self._child = None

    async def _announced(self, child: asyncio.subprocess.Process, model: Path, key: str) -> Address:
        """Give the child its orders and return the address that it listens on.

        Raises:
            _NotLoaded: it died, said why it cannot, or said nothing for too long.
        """
        assert child.stdin is not None and child.stdout is not None
        orders = {
            "model": str(model),
            "context_length": self._context_length,
            "threads": self._threads,
            # Never an argument or a variable: those can be read by others on the machine.
            "api_key": key,
        }
        child.stdin.write(json.dumps(orders).encode() + b"\n")
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                line = await child.stdout.readline()
                if not line:
                    raise _NotLoaded(f"the model's process ended with code {await child.wait()}")
        except TimeoutError:
            raise _NotLoaded(f"the model did not load within {_START_TIMEOUT:.0f} s") from None
        answer = json.loads(line)
        if "problem" in answer:
            raise _NotLoaded(answer["problem"])
        return Address(f"{answer['address']}/v1", key)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Ask politely, then not; always reap."""
    if child.stdin is not None:
        child.stdin.close()
    if child.returncode is None:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await child.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
