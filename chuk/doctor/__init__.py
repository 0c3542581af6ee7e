"""`chuk doctor`: part by part, what would serve it and whether that answers; and more, if asked."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp

from chuk.app import WIRING, Part, build_app
from chuk.catalog.ports import CatalogUnavailable
from chuk.doctor.deep import Discretion, examine_deeply
from chuk.doctor.findings import Finding, Verdict, fail, ok, worst
from chuk.errors import ChukError
from chuk.settings import Settings

__all__ = ["Discretion", "Finding", "Verdict", "examine", "examine_deeply", "worst"]

_PATIENCE = 60.0


async def examine(settings: Settings) -> AsyncGenerator[Finding, None]:
    """Ask each part in turn.

    Raises:
        OSError, SelectionError, SchemaError: as `build_app` does.
    """
    folder = Part("data folder", str(settings.server.data_dir), _writes(settings))
    try:
        app = await build_app(settings)
    except ChukError as error:
        yield await _asked(folder)
        advice = "Its log says why; `chuk doctor --deep` looks at the files and services."
        yield fail("server", f"it cannot be put together: {error.message}", advice)
        return
    app.freeze()
    try:
        for part in [folder, *app[WIRING].parts]:
            yield await _asked(part)
    finally:
        await app[WIRING].close()


async def _asked(part: Part) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            return ok(part.name, f"{part.using}: {await part.check()}")
    except ChukError as error:
        reason = error.message
    except CatalogUnavailable as error:
        reason = str(error)
    except TimeoutError:
        reason = f"no answer within {_PATIENCE:.0f} s"
    except (OSError, aiohttp.ClientError) as error:
        reason = type(error).__name__
    return fail(part.name, f"{part.using}: {reason}", "")


def _writes(settings: Settings) -> Callable[[], Awaitable[str]]:
    async def check() -> str:
        with tempfile.NamedTemporaryFile(dir=settings.server.data_dir):
            return "can be written"

    return check
