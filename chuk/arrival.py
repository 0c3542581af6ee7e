"""When a server that others can stand in for should begin: not before it is of use."""

from __future__ import annotations

import asyncio

from aiohttp import web

from chuk.api.keys import HEALTH
from chuk.app import WIRING
from chuk.errors import ModelUnavailable
from chuk.logs import logger

TAKEOVER_WITHIN = 90.0
"""Seconds in which a server that is to take over must become well, before it does so in any case.

Longer than a deployment waits: one that stays red is ended before anybody has met it."""

_LOOK = 0.05


async def until_useful(app: web.Application, stopped: asyncio.Event, *, within: float) -> None:
    """Wait until `/health` is well, or until this server is to stop.

    Args:
        within: but no longer than this, in seconds: the others cannot serve either, perhaps.
    """
    useful = asyncio.create_task(_is_well(app, within))
    is_stopped = asyncio.create_task(stopped.wait())
    await asyncio.wait({useful, is_stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (useful, is_stopped):
        task.cancel()
    await asyncio.wait({useful, is_stopped})


async def _is_well(app: web.Application, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await app[WIRING].ready()
            while app[HEALTH].status() != "ok":  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
    except (TimeoutError, ModelUnavailable):
        logger("server").warning("serving without models")
