"""Runs the commands as processes of their own, as a person at a terminal would."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

_REPOSITORY = Path(__file__).parent.parent
_PATIENCE = 30.0
_LISTENING = re.compile(rb"Listening on (https?://\S+)")


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass
class ServerProcess:
    """A `serve` that listens.

    Attributes:
        url: what it printed.
    """

    url: str
    process: asyncio.subprocess.Process
    _err: asyncio.Task[bytes]

    async def well(self, client: aiohttp.ClientSession) -> None:
        """Wait until it can serve chats."""
        status = 0
        async with asyncio.timeout(_PATIENCE):
            while status != HTTPStatus.OK:
                async with client.get(f"{self.url}/health") as answer:
                    status = answer.status

    async def stop(self, signal: int) -> Finished:
        """Send a signal and wait for the end."""
        self.process.send_signal(signal)
        return await self.finished()

    async def finished(self) -> Finished:
        """Wait for the end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            out = await self.process.stdout.read()
            code = await self.process.wait()
            err = await self._err
        return Finished(code, out.decode(), err.decode())


async def run_chuk(*arguments: str, folder: Path, **environ: str) -> Finished:
    """Run one command in `folder` with these variables, and nothing else in its environment."""
    return await run_module(("chuk", *arguments), folder=folder, environ=environ)


async def run_module(
    module: Sequence[str], *, folder: Path, environ: Mapping[str, str]
) -> Finished:
    """Run a module with its arguments, as `python -m` does, in the same way."""
    process = await _start(module, folder, environ)
    try:
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def served(
    folder: Path,
    environ: Mapping[str, str],
    *,
    launcher: Sequence[str] = (),
    options: Sequence[str] = (),
) -> AsyncIterator[ServerProcess]:
    """A server as a process, listening on a free port; killed if the test leaves it running.

    Args:
        launcher: a module and its arguments that runs `chuk serve` in its own way.
        options: of `serve`.
    """
    module = [*launcher, "chuk", "serve", *options]
    process = await _start(module, folder, {"CHUK_PORT": "0", **environ})
    assert process.stdout is not None and process.stderr is not None
    err = asyncio.create_task(process.stderr.read())
    try:
        async with asyncio.timeout(_PATIENCE):
            line = await process.stdout.readline()
        found = _LISTENING.match(line)
        assert found is not None, line + (b"" if line else await err)
        yield ServerProcess(found[1].decode(), process, err)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await err


def log_lines(err: str) -> list[dict[str, Any]]:
    """The lines of a JSON log; a line that is no JSON is an error."""
    return [json.loads(line) for line in err.splitlines()]


async def _start(
    module: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *module,
        cwd=folder,
        env={"PYTHONPATH": str(_REPOSITORY), "PATH": "/usr/bin:/bin", **environ},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
