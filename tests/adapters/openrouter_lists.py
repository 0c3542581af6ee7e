"""OpenRouter's list over its stand-in, and what tests look at in it."""

from __future__ import annotations

import aiohttp

from chuk.adapters.openrouter_catalog import FetchLimits, OpenRouterModels
from chuk.catalog.models import Model
from chuk.catalog.selection import Selection
from tests.fakes.openrouter import FakeOpenRouter

BLOCKED = Selection(blocked_providers=frozenset({"chutes", "parasail"}))
QWEN, LLAMA, GEMMA = (
    "qwen/qwen3-32b",
    "meta-llama/llama-3.3-70b-instruct",
    "google/gemma-3-27b-it",
)
QWEN_PAGE = f"/models/{QWEN}/endpoints"


def source(
    openrouter: FakeOpenRouter,
    session: aiohttp.ClientSession,
    *,
    selection: Selection = BLOCKED,
    limits: FetchLimits | None = None,
) -> OpenRouterModels:
    return OpenRouterModels(
        session,
        base_url=openrouter.base_url,
        api_key=openrouter.api_key,
        selection=selection,
        limits=limits,
    )


async def fetched(models: OpenRouterModels, known: tuple[Model, ...] = ()) -> dict[str, Model]:
    return {model.id: model for model in await models.fetch(known)}


def slugs(model: Model) -> list[str]:
    return [provider.slug for provider in model.providers]
