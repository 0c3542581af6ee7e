"""`chuk doctor --deep`: everything that is forgotten easily and missed late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import urlsplit

import aiohttp

from chuk.doctor import (
    certificates,
    clock,
    files,
    machine,
    models,
    public,
    redis,
    sense,
    sqlite,
    stripe,
    supabase,
)
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail
from chuk.errors import ChukError
from chuk.settings import Settings, describe

_PATIENCE = 120.0
_CALL = 10.0
_LEFT_OUT = "•••"
_SHORTEST_SECRET = 4

Check = Callable[[Examined], Awaitable[list[Finding]]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("settings", sense.look),
    ("permissions", files.look_at_access),
    ("machine", machine.look),
    ("time", clock.look),
    ("certificate", certificates.look),
    ("public address", public.look),
    ("sqlite", sqlite.look),
    ("project", supabase.look),
    ("redis", redis.look),
    ("stripe", stripe.look),
    ("zdr list", models.look),
    ("weights", files.look_at_weights),
)


async def examine_deeply(settings: Settings) -> list[Finding]:
    """Look at all of it, side by side. No finding holds a secret."""
    timeout = aiohttp.ClientTimeout(total=_CALL)
    async with aiohttp.ClientSession(
        timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        examined = Examined(settings, session)
        found = await asyncio.gather(*(_looked(name, check, examined) for name, check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _looked(name: str, check: Check, examined: Examined) -> list[Finding]:
    """What one check has found; that it could not be done is a finding, too."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await check(examined)
    except TimeoutError:
        reason = f"it took longer than {_PATIENCE:.0f} s"
    except ChukError as error:
        reason = error.message
    except (OSError, aiohttp.ClientError) as error:
        reason = type(error).__name__
    return [fail(name, f"this could not be looked at: {reason}", "Look at it by hand.")]


class Discretion:
    """Leaves every secret out of what is shown, whoever put it there."""

    def __init__(self, settings: Settings) -> None:
        # The longest first: one may be a part of another.
        self._secrets = sorted(set(_secrets(settings)), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in self._secrets:
            text = text.replace(secret, _LEFT_OUT)
        return text


def _secrets(settings: Settings) -> Iterator[str]:
    for setting in describe():
        value = str(getattr(getattr(settings, setting.section), setting.name))
        if "://" in value and (password := urlsplit(value).password):
            yield password
        if setting.secret and len(value) >= _SHORTEST_SECRET:
            yield value
