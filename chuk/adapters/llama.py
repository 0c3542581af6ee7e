"""The embedded language model: a llama.cpp server in a child process, restarted when it dies.

The child speaks the same OpenAI-compatible protocol as any other upstream, on a loopback port and
with a key that only this process knows, so one client serves them all.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from contextlib import suppress
from pathlib import Path

from chuk.adapters.gguf import WeightsUnavailable, embedded_weights
from chuk.adapters.openai_compatible import Address
from chuk.errors import ModelUnavailable
from chuk.logs import logger

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_HEALTHY_AFTER = 60.0
_START_TIMEOUT = 120.0
_STOP_TIMEOUT = 5.0


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
        self._up = asyncio.Event()
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

    def address(self) -> Address:
        """Where to ask.

        Raises:
            ModelUnavailable: the model is loading, or has died and is being restarted.
        """
        if self._address is None:
            raise ModelUnavailable(retry_after=max(1, round(self._pause)))
        return self._address

    async def start(self) -> None:
        """Begin to load; returns at once."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="llama")

    async def ready(self) -> None:
        """Wait until the model can be asked."""
        await self._up.wait()

    async def close(self) -> None:
        """End the child and wait for it. Idempotent."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None

    async def _supervise(self) -> None:
        """Run children one after the other, with a pause that doubles while they die young."""
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                await self._run_child()
            except (WeightsUnavailable, OSError) as error:
                reason = str(error) if isinstance(error, WeightsUnavailable) else "not started"
                logger("llama").error("model unavailable", reason=reason)
            if clock() - began > _HEALTHY_AFTER:
                self._pause = _FIRST_PAUSE
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _run_child(self) -> None:
        """Start a child, announce it, and return when it is dead."""
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
            if self._address is not None:
                logger("llama").info("model loaded", file=model.name, process=child.pid)
                self._up.set()
            code = await child.wait()
            logger("llama").warning("model process ended", code=code)
        finally:
            self._address = None
            self._up.clear()
            await _end(child)
            self._child = None

    async def _announced(
        self, child: asyncio.subprocess.Process, model: Path, key: str
    ) -> Address | None:
        """Give the child its orders; the address it listens on, or None when it died instead."""
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
        except TimeoutError:
            child.kill()
            return None
        if not line:
            return None
        return Address(f"{json.loads(line)['address']}/v1", key)


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
