"""Servers of several processes, and what the kernel knows of them."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import aiohttp

from chuk.accounts.issuer import DEFAULT_USER
from chuk.app import embedded_issuer
from chuk.settings import load
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import eventually, openrouter_environ
from tests.processes import ServerProcess, served
from tests.redis_server import RedisServer

WORKER, HOST = "chuk.supervision.worker", "chuk.adapters.embedded.host_child"
# So often all would have asked the same one of two once in 30,000 times.
_ALL_OF_THEM = 16
CHILD, MODEL_CHILD = "chuk.adapters.child", "chuk.adapters.llama_child"


@dataclass
class Crew:
    """A server with workers, and a client without a connection that lasts."""

    server: ServerProcess
    client: aiohttp.ClientSession
    data: Path
    openrouter: FakeOpenRouter

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    def workers(self) -> set[int]:
        """The workers' processes."""
        return of_module(WORKER, below(self.server.process.pid))

    def bearer(self, user: UUID = DEFAULT_USER) -> dict[str, str]:
        """The header that signs a user in."""
        issuer = embedded_issuer(load({"CHUK_DATA_DIR": str(self.data)}, directory=self.data))
        assert issuer is not None
        return {"Authorization": f"Bearer {issuer.token(user)}"}

    async def all_well(self) -> None:
        """Wait until every worker can serve chats. Which one is asked, only chance decides."""
        in_a_row = 0
        async with asyncio.timeout(30):
            while in_a_row < _ALL_OF_THEM:
                in_a_row = in_a_row + 1 if await self.status() == HTTPStatus.OK else 0

    async def status(self) -> int:
        """Of `/health`, asked over a new connection."""
        async with self.client.get(f"{self.url}/health") as answer:
            return answer.status


@asynccontextmanager
async def crew(
    folder: Path,
    openrouter: FakeOpenRouter,
    redis_server: RedisServer,
    *,
    workers: int = 2,
    environ: Mapping[str, str] = {},
    trust: ssl.SSLContext | bool = True,
) -> AsyncIterator[Crew]:
    """Run a server with workers, and wait until it can serve chats.

    Args:
        trust: whose certificates its client believes.
    """
    data = folder / "data"
    own = {"CHUK_DATA_DIR": str(data), "REDIS_URL": redis_server.url, "CHUK_LOG_FORMAT": "json"}
    options = ("--workers", str(workers))
    async with (
        served(
            folder, {**openrouter_environ(openrouter), **own, **environ}, options=options
        ) as server,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, ssl=trust)
        ) as client,
    ):
        running = Crew(server, client, data, openrouter)
        await running.all_well()
        yield running


def below(process: int) -> dict[int, list[str]]:
    """The command lines of all processes below this one, by their ids; none of the dead."""
    parents: dict[int, int] = {}
    commands: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            parents[int(entry.name)] = int(parent)
            commands[int(entry.name)] = command
    found: dict[int, list[str]] = {}
    fresh = {process}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found.update({child: commands[child] for child in fresh})
    return found


def of_module(module: str, processes: Mapping[int, list[str]]) -> set[int]:
    """Those that run this module."""
    return {process for process, command in processes.items() if module in command}


async def all_gone(processes: Mapping[int, object]) -> None:
    """Wait until none of these is there any more."""
    await eventually(lambda: not any(_is_there(process) for process in processes), timeout=15)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
