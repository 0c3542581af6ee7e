"""A server that dies when it is told to, and comes back on the same data folder."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

import aiohttp

from chuk.app import embedded_issuer
from chuk.settings import load
from tests.processes import ServerProcess, served

LAUNCHER = "tests.crash.launcher"

_MOST_COMMITS = 60
_PATIENCE = 30.0
_LAST_BREATH = 2.0


class Mortal:
    """The server of one data folder, through all its lives.

    Attributes:
        lives: how often it was started.
        client: lasts through all of them.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.lives = 0
        self.client = aiohttp.ClientSession()
        self._folder = folder
        self._environ = {
            "CHUK_DATA_DIR": str(folder / "data"),
            "CHUK_LOG_FORMAT": "json",
            **environ,
        }
        self._plan = folder / "plan"
        self._plans = itertools.count(1)
        self._life = AsyncExitStack()
        self._server: ServerProcess | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()
        await self.client.close()

    @property
    def data(self) -> Path:
        """Where its database is."""
        return self._folder / "data"

    @property
    def url(self) -> str:
        """Of the present life."""
        return self._present.url

    @property
    def is_dead(self) -> bool:
        """Whether the present life is over."""
        return self._present.process.returncode is not None

    def bearer(self, user_id: UUID) -> dict[str, str]:
        """The header that signs a user in."""
        issuer = embedded_issuer(load(self._environ, directory=self._folder))
        assert issuer is not None
        return {"Authorization": f"Bearer {issuer.token(user_id)}"}

    async def start(self) -> None:
        """Begin a life, and wait until it serves."""
        self.disarm()
        environ = {**self._environ, "CRASH_PLAN": str(self._plan)}
        self._server = await self._life.enter_async_context(
            served(self._folder, environ, launcher=[LAUNCHER])
        )
        self.lives += 1
        await self._server.well(self.client)

    async def restart(self) -> None:
        """After a death: come back on what is left."""
        finished = await self._present.finished()
        assert finished.code == -signal.SIGKILL, finished
        await self._life.aclose()
        await self.start()

    def arm(self, moment: str, number: int) -> None:
        """Die before or after this commit, counted from now."""
        self._write(f"{next(self._plans)} {moment} {number}")

    def disarm(self) -> None:
        """Live on."""
        self._write("")

    async def survives(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something with the server; false where it died of it."""
        task = asyncio.create_task(work)
        death = asyncio.create_task(self._present.process.wait())
        async with asyncio.timeout(_PATIENCE):
            await asyncio.wait([task, death], return_when=asyncio.FIRST_COMPLETED)
            if task.done() and task.exception() is not None:
                # A connection breaks before the process is gone.
                await asyncio.wait([death], timeout=_LAST_BREATH)
        if self.is_dead:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                # Seen, so that nobody hears of it: it failed because the server died.
                task.exception()
            return False
        death.cancel()
        await task
        return True

    @property
    def _present(self) -> ServerProcess:
        assert self._server is not None
        return self._server

    def _write(self, text: str) -> None:
        # As a whole, because the process may be reading it.
        draft = self._plan.with_suffix(".draft")
        draft.write_text(text, "utf-8")
        os.replace(draft, self._plan)


class Scenario(Protocol):
    """Something that a server does, and what must be true of it afterwards."""

    async def play(self) -> None:
        """Do it anew, and return when the server has nothing left to do for it."""
        ...

    async def check(self, moment: str, number: int) -> None:
        """After a crash there (or none): wait until it is mended, and compare the books."""
        ...


async def die_at_every_commit(server: Mortal, scenario: Scenario, moment: str) -> int:
    """Play again and again, dying at one commit later each time; returns how many there are."""
    for number in range(1, _MOST_COMMITS):
        server.arm(moment, number)
        lives_on = await server.survives(scenario.play())
        server.disarm()
        if not lives_on:
            await server.restart()
        await scenario.check(moment, number)
        if lives_on:
            return number - 1
    raise AssertionError(f"more than {_MOST_COMMITS} commits")
