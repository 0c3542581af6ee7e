"""The machine's host of models, as the supervisor sees it: started, and started again."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from chuk.adapters.embedded.wire import listening_at
from chuk.logs import logger
from chuk.server import logs_json
from chuk.settings import Settings
from chuk.supervision.member import start_python
from chuk.supervision.pauses import Pauses

_MODULE = "chuk.adapters.embedded.host_child"
_STOP_TIMEOUT = 10.0


class HostKeeper:
    """Keeps one host running. Its socket is ours, so whoever calls while it is away waits.

    Args:
        path: where its socket shall be, in a folder that nobody else may enter.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, settings: Settings, path: Path) -> None:
        self._settings = settings
        self._listening = listening_at(path)
        self._process: asyncio.subprocess.Process | None = None
        self._is_ending = False
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; returns at once."""
        self._keeper = asyncio.create_task(self._keep(), name="host")

    async def close(self) -> None:
        """End it, with all that it runs. Idempotent."""
        self._is_ending = True
        process, keeper = self._process, self._keeper
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                async with asyncio.timeout(_STOP_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                process.kill()
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        self._listening.close()

    async def _keep(self) -> None:
        clock = asyncio.get_running_loop().time
        pauses = Pauses()
        while not self._is_ending:
            begun = clock()
            why: object
            try:
                why = await self._run()
            except OSError as error:
                why = error.strerror
            if not self._is_ending:
                pause = pauses.after(clock() - begun)
                logger("supervisor").error(
                    "host ended", code=why, deaths=pauses.deaths, restart_in=pause
                )
                await asyncio.sleep(pause)

    async def _run(self) -> int:
        orders = {
            "parent": os.getpid(),
            "listening": self._listening.fileno(),
            "data_dir": str(self._settings.server.data_dir.absolute()),
            "level": self._settings.log.level,
            "json": logs_json(self._settings),
        }
        self._process = await start_python(
            _MODULE,
            json.dumps(orders),
            pass_fds=[self._listening.fileno()],
            stdin=asyncio.subprocess.PIPE,
        )
        return await self._process.wait()
