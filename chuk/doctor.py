"""`chuk doctor`: part by part, what would serve it and whether that answers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable

import aiohttp

from chuk.app import WIRING, Part, build_app
from chuk.catalog.ports import CatalogUnavailable
from chuk.errors import ChukError
from chuk.settings import Settings

_PATIENCE = 60.0


async def examine(settings: Settings) -> bool:
    """Print one line for each part; return whether all of them are well."""
    app = await build_app(settings)
    parts = [
        Part("data folder", str(settings.server.data_dir), _writes(settings)),
        *app[WIRING].parts,
    ]
    well = True
    app.freeze()
    try:
        for part in parts:
            finding, good = await _ask(part.check)
            well = well and good
            print(f"{'ok  ' if good else 'FAIL'} {part.name:<12} {part.using}: {finding}")
    finally:
        await app[WIRING].close()
    return well


async def _ask(check: Callable[[], Awaitable[str]]) -> tuple[str, bool]:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check(), True
    except ChukError as error:
        return error.message, False
    except CatalogUnavailable as error:
        return str(error), False
    except TimeoutError:
        return f"no answer within {_PATIENCE:.0f} s", False
    except (OSError, aiohttp.ClientError) as error:
        return type(error).__name__, False


def _writes(settings: Settings) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        with tempfile.NamedTemporaryFile(dir=settings.server.data_dir):
            return "can be written"

    return check
