"""Servers that are started as the service manager does it: with its socket, and told of by them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp

from tests.processes import log_lines

REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 30.0


class Instance:
    """One server among those that share a socket.

    Attributes:
        words: what it has told the service manager, in order.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, ear: socket.socket, local: Path
    ) -> None:
        self.process = process
        self.words: list[str] = []
        self._ear = ear
        self._local = local
        assert process.stderr is not None
        self._err = asyncio.create_task(process.stderr.read())

    async def heard(self, word: str) -> None:
        """Wait until it has told this; what it told before is kept."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE):
            while not any(told.split("\n")[0] == word for told in self.words):
                hearing = asyncio.ensure_future(loop.sock_recv(self._ear, 1000))
                done, _ = await asyncio.wait(
                    {hearing, self._err}, return_when=asyncio.FIRST_COMPLETED
                )
                if hearing not in done:
                    hearing.cancel()
                    raise AssertionError(self._err.result().decode())
                self.words.append(hearing.result().decode())

    async def health(self) -> int:
        """The status of `/health`, of this very instance."""
        connector = aiohttp.UnixConnector(str(self._local), force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.get("http://local/health") as answer,
        ):
            return answer.status

    def hang_up(self) -> None:
        """What the service manager does to let it reload."""
        os.kill(self.process.pid, signal.SIGHUP)

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(_PATIENCE):
            await self._err
            return await self.process.wait()

    async def errors(self) -> list[str]:
        """The events of its log that are warnings or worse."""
        lines = log_lines((await self._err).decode())
        return [line["event"] for line in lines if line["level"] not in ("debug", "info")]


@asynccontextmanager
async def shared_socket(number: int = 1) -> AsyncIterator[list[socket.socket]]:
    """What a socket unit holds: it listens before there is a server, and after it."""
    sockets = [socket.create_server(("127.0.0.1", 0), backlog=2048)]
    for _ in range(number - 1):
        sockets.append(socket.create_server(("127.0.0.1", 0), backlog=2048))
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def address_of(sockets: Sequence[socket.socket]) -> str:
    """What clients call."""
    host, port = sockets[0].getsockname()
    return f"http://{host}:{port}"


@asynccontextmanager
async def instance(
    name: str,
    folder: Path,
    sockets: Sequence[socket.socket],
    environ: Mapping[str, str],
    *,
    options: Sequence[str] = (),
    watchdog: float = 20.0,
) -> AsyncIterator[Instance]:
    """Start one that serves at these sockets; killed if the test leaves it running."""
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ear.bind(str(folder / f"{name}.notify"))
    ear.setblocking(False)
    local = folder / f"{name}.sock"
    own = {
        "PYTHONPATH": str(REPOSITORY),
        "PATH": "/usr/bin:/bin",
        "CHUK_DATA_DIR": str(folder / "data"),
        "CHUK_LOCAL_SOCKET": str(local),
        "CHUK_LOG_FORMAT": "json",
        "NOTIFY_SOCKET": ear.getsockname(),
        "WATCHDOG_USEC": str(round(watchdog * 1_000_000)),
        "LISTEN_FDS": str(len(sockets)),
    }
    given = [each.fileno() for each in sockets]
    process = await asyncio.create_subprocess_exec(
        *with_sockets(given),
        *(sys.executable, "-m", "chuk", "serve", *options),
        cwd=folder,
        env={**own, **environ},
        pass_fds=given,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    running = Instance(process, ear, local)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ended()
        ear.close()


def with_sockets(given: Sequence[int]) -> list[str]:
    """The command before a command that gets these descriptors from 3 on, as its own."""
    moves = " ".join(f"{number}<&{descriptor}" for number, descriptor in enumerate(given, 3))
    return ["bash", "-c", f'LISTEN_PID=$$ exec "$@" {moves}', "bash"]


async def well(of: Instance) -> None:
    """Wait until it can serve chats."""
    await of.heard("READY=1")
    async with asyncio.timeout(_PATIENCE):
        while await of.health() != HTTPStatus.OK:
            pass


def end(of: Instance) -> None:
    """What the service manager does to stop it."""
    os.kill(of.process.pid, signal.SIGTERM)
