"""When a server that others can stand in for should begin: not before it is of use."""

from __future__ import annotations

import asyncio

from aiohttp import web

from chuk.app import WIRING
from chuk.errors import ModelUnavailable
from chuk.logs import logger


async def until_useful(app: web.Application, stopped: asyncio.Event, *, within: float) -> None:
    """Wait until chats can be served, or until this server is to stop.

    Args:
        within: but no longer than this, in seconds: the others cannot either, perhaps.
    """
    useful = asyncio.create_task(_has_models(app, within))
    is_stopped = asyncio.create_task(stopped.wait())
    await asyncio.wait({useful, is_stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (useful, is_stopped):
        task.cancel()
    await asyncio.wait({useful, is_stopped})


async def _has_models(app: web.Application, within: float) -> None:
    try:
        async with asyncio.timeout(within):
            await app[WIRING].ready()
    except (TimeoutError, ModelUnavailable):
        logger("server").warning("serving without models")
