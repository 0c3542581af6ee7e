"""A catalogue over the stand-in for OpenRouter, and time that a test controls."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from chuk.adapters.openrouter_catalog import OpenRouterModels
from chuk.catalog.selection import Selection
from chuk.catalog.service import Catalog
from chuk.catalog.store import CatalogStore
from tests.fakes.openrouter import FakeOpenRouter

QWEN = "qwen/qwen3-32b"
BLOCKED = Selection(blocked_providers=frozenset({"chutes"}))


class Waits:
    """Stands in for sleeping: remembers each wait and lets go when it is told to."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._began: asyncio.Queue[float] = asyncio.Queue()
        self._over: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._began.put_nowait(seconds)
        await self._over.get()

    async def next(self) -> float:
        """The next wait, once it begins."""
        return await asyncio.wait_for(self._began.get(), 30)

    def end(self) -> None:
        """Let the present wait be over."""
        self._over.put_nowait(None)


def catalog(
    openrouter: FakeOpenRouter,
    session: aiohttp.ClientSession,
    *,
    folder: Path | None = None,
    selection: Selection = BLOCKED,
    waits: Waits | None = None,
    origin: str = "openrouter",
) -> Catalog:
    return Catalog(
        OpenRouterModels(
            session, base_url=openrouter.base_url, api_key=openrouter.api_key, selection=selection
        ),
        store=CatalogStore(folder / "catalog.json", origin=origin) if folder else None,
        selection=selection,
        refresh_interval=600,
        sleep=waits or Waits(),
    )


def qwen_slugs(models: Catalog) -> list[str]:
    return [provider.slug for provider in models.model(QWEN).providers]
