"""This machine's time against the time of a service that is used anyway."""

from __future__ import annotations

import time
from datetime import UTC
from email.utils import parsedate_to_datetime

import aiohttp

from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn

_NAME = "time"
# As much as is allowed a token that has just expired.
_TOO_FAR, _FAR = 30.0, 5.0


async def look(examined: Examined) -> list[Finding]:
    """Ask the first service that answers what time it is."""
    places = _places(examined)
    if not places:
        return [ok(_NAME, "no service is configured whose clock this one could be compared with")]
    for url in places:
        skew = await _skew(examined.session, url)
        if skew is not None:
            return [judge_skew(skew, url)]
    advice = "Look at the network: names, firewall, proxy."
    return [warn(_NAME, "no service that is configured tells what time it is", advice)]


def judge_skew(skew: float, url: str) -> Finding:
    """What so many seconds mean."""
    behind = "behind" if skew > 0 else "ahead of"
    if abs(skew) <= _FAR:
        return ok(_NAME, f"this clock agrees with {url}")
    says = f"this clock is {abs(skew):.0f} s {behind} that of {url}"
    advice = "Set the clock by a time service: tokens and Stripe's signatures are dated."
    return (fail if abs(skew) > _TOO_FAR else warn)(_NAME, says, advice)


def _places(examined: Examined) -> list[str]:
    settings = examined.settings
    places = []
    if settings.supabase.url:
        places.append(settings.supabase.url)
    if settings.stripe.secret_key:
        places.append(settings.stripe.api_base)
    if settings.upstream.openrouter_api_key:
        places.append(settings.upstream.openrouter_base_url)
    return places


async def _skew(session: aiohttp.ClientSession, url: str) -> float | None:
    """Seconds that this clock is behind; None: nobody said."""
    begun = time.time()
    try:
        async with session.get(url, allow_redirects=False) as answer:
            told = parsedate_to_datetime(answer.headers["Date"])
    except (aiohttp.ClientError, OSError, TimeoutError, LookupError, ValueError):
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=UTC)
    # A date has whole seconds: on the average it is half a second old.
    return told.timestamp() + 0.5 - (begun + time.time()) / 2
