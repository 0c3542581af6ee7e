"""The model list: how old it is, and whether the block list still names anybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp

from chuk.adapters.openrouter_catalog import OpenRouterModels
from chuk.catalog.models import Model
from chuk.catalog.ports import CatalogUnavailable
from chuk.catalog.selection import read_models_file
from chuk.catalog.store import CatalogStore
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn

_LIST, _BLOCKED = "zdr list", "block list"
_AGE = "chuk_catalog_age_seconds"
# So many refreshes may fail before it is told.
_MISSED, _LOST = 3, 24 * 3600.0
_RESTART = "Look for catalog_refresh_failed in the server's log; restart it if it has none."


async def look(examined: Examined) -> list[Finding]:
    """Compare what is kept with what upstream says now."""
    upstream, metrics = examined.settings.upstream, examined.settings.metrics
    if not upstream.openrouter_api_key:
        return [ok(_LIST, "none is needed: OPENROUTER_API_KEY is not set")]
    url = upstream.openrouter_base_url.rstrip("/")
    findings = []
    age = None
    if metrics.port:
        age = await _age_told(examined.session, f"http://{metrics.host}:{metrics.port}/metrics")
    if age is not None:
        findings.append(judge_age(age, upstream.catalog_refresh))
    else:
        file = examined.settings.server.data_dir / "catalog.json"
        findings += await _compared(examined, url, file)
    names = await _provider_names(examined.session, url, upstream.openrouter_api_key)
    return [*findings, judge_blocked(upstream.blocked_providers, names)]


def judge_age(age: float, refresh: float) -> Finding:
    """What a list of this age, in seconds, means where it should be fetched so often."""
    says = f"the server's list of providers without retention is {age / 60:.0f} minutes old"
    if age > _LOST:
        return fail(_LIST, says, _RESTART)
    return warn(_LIST, says, _RESTART) if age > _MISSED * refresh else ok(_LIST, says)


def judge_kept(kept: Iterable[Model], now: Iterable[Model], age: float, refresh: float) -> Finding:
    """What it means that these are kept, and those are offered by upstream now.

    Args:
        age: seconds since the list was last written, which happens whenever it changes.
    """
    gone = _pairs(kept) - _pairs(now)
    if gone and age > _MISSED * refresh:
        some = ", ".join(sorted(f"{model} at {slug}" for model, slug in gone)[:3])
        says = f"the kept list has {len(gone)} provider(s) that upstream's has not: {some}"
        return (fail if age > _LOST else warn)(_LIST, says, _RESTART)
    return ok(_LIST, "the kept list is as upstream's, or will be at the next refresh")


def judge_blocked(blocked: Iterable[str], names: frozenset[str]) -> Finding:
    """Whether whom nobody shall be sent to is still called so."""
    if not names:
        advice = "Look at the block list by hand: CHUK_BLOCKED_PROVIDERS."
        return warn(_BLOCKED, "upstream does not say who its providers are", advice)
    unknown = [name for name in blocked if name.strip().lower().partition("/")[0] not in names]
    if unknown:
        says = f"upstream has nobody called {', '.join(unknown)}: they block nobody"
        advice = "Look whether they have other names now, and change CHUK_BLOCKED_PROVIDERS."
        return warn(_BLOCKED, says, advice)
    return ok(_BLOCKED, "each name on it is a provider of upstream's")


async def _compared(examined: Examined, url: str, file: Path) -> list[Finding]:
    upstream = examined.settings.upstream
    selection = read_models_file(
        upstream.models_file, blocked_providers=upstream.blocked_providers
    ).selection
    source = OpenRouterModels(
        examined.session,
        base_url=url,
        api_key=upstream.openrouter_api_key,
        selection=selection,
    )
    try:
        now = await source.fetch(())
    except CatalogUnavailable as error:
        advice = "Look at OPENROUTER_API_KEY and the network. The last known list goes on serving."
        return [fail(_LIST, f"it cannot be had: {error}", advice)]
    kept = await CatalogStore(file, origin=url).load()
    if kept is None:
        return [ok(_LIST, f"{len(now)} model(s) now; no earlier list is kept")]
    written = await asyncio.to_thread(file.stat)
    age = time.time() - written.st_mtime
    return [judge_kept(selection.restrict(kept), now, age, upstream.catalog_refresh)]


async def _age_told(session: aiohttp.ClientSession, url: str) -> float | None:
    """What a running server says of the age of its list; None: it does not."""
    try:
        async with session.get(url) as answer:
            lines = (await answer.text()).splitlines()
        return max(float(line.split()[-1]) for line in lines if line.startswith(_AGE))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None


async def _provider_names(session: aiohttp.ClientSession, url: str, api_key: str) -> frozenset[str]:
    """What upstream calls its providers; empty: it does not say."""
    try:
        headers = {"Authorization": f"Bearer {api_key}"}
        async with session.get(f"{url}/providers", headers=headers) as answer:
            answer.raise_for_status()
            document: Any = await answer.json(content_type=None)
        return frozenset(str(row["slug"]).lower() for row in document["data"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError, LookupError):
        return frozenset()


def _pairs(models: Iterable[Model]) -> set[tuple[str, str]]:
    return {(model.id, provider.slug) for model in models for provider in model.providers}
