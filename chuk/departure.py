"""How a server ends: it lets nobody down who has come in, and is gone within its time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web

from chuk.api.keys import HEALTH, TURNS
from chuk.entrance import Entrance
from chuk.logs import logger
from chuk.runner import Connection

LAST_WORDS = 30.0
"""Seconds in which a server ends its streams and its books, once their grace is over."""

# Who has just connected has this long to ask: in seconds.
_FAREWELL = 2.0
_LAST_ANSWERS = 1.0
_LOOK = 0.02
_CALM_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Stop:
    """The first signal asks to stop, the second one to hurry."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def signal(self) -> None:
        """Take one signal."""
        (self.hurry if self.asked.is_set() else self.asked).set()


class Departure:
    """The end of one server. Made before its application is frozen.

    Args:
        grace: seconds for open streams.
        stop: its second signal cuts everything short.
    """

    def __init__(self, app: web.Application, grace: float, stop: Stop) -> None:
        self._app = app
        self._grace = grace
        self._stop = stop
        self._is_relieved = False
        app.on_response_prepare.append(self._part)

    async def run(self, runner: web.AppRunner, entrance: Entrance, *, is_relieved: bool) -> None:
        """Answer whoever has come in, let streams finish, end those that do not in time.

        Args:
            is_relieved: others take over, so that no client needs to notice: this one lets no
                connection in any more. Otherwise it says until the end that it ends, by a 503.
        """
        clock = asyncio.get_running_loop().time
        until = clock() + self._grace
        if is_relieved:
            logger("server").info("retiring", grace=self._grace)
            self._is_relieved = True
            await entrance.close()
            await self._answer_all(runner, until)
        await drain(self._app, max(0.0, until - clock()), self._stop)
        await entrance.close()
        await self._answer_all(runner, clock() + _LAST_ANSWERS)

    async def _part(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Let no connection be used again, once others have taken over."""
        if self._is_relieved and not isinstance(response, web.WebSocketResponse):
            response.headers["Connection"] = "close"
            response.force_close()

    async def _answer_all(self, runner: web.AppRunner, until: float) -> None:
        """Wait until all have their answers who have come in, or have had their time."""
        clock = asyncio.get_running_loop().time
        farewell = min(until, clock() + _FAREWELL)
        calm = 0
        while calm < _CALM_LOOKS and not self._stop.hurry.is_set() and clock() < until:
            # Between two looks comes in what the kernel has given us already.
            await asyncio.sleep(_LOOK)
            calm = 0 if _open(runner, farewell - clock()) else calm + 1


async def drain(app: web.Application, grace: float, stop: Stop) -> None:
    """Say 503 on `/health`, let open streams finish for so many seconds, then end them."""
    logger("server").info("draining", grace=grace)
    app[HEALTH].is_draining = True
    draining = asyncio.create_task(app[TURNS].drain(grace))
    hurry = asyncio.create_task(stop.hurry.wait())
    await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    draining.cancel()


def _open(runner: web.AppRunner, left: float) -> int:
    """The connections that an answer is due on, or a question while there is time left for it."""
    server = runner.server
    assert server is not None
    return sum(
        connection.is_answering or (connection.is_new and left > 0)
        for connection in server.connections
        if isinstance(connection, Connection)
    )
