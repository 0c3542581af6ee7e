"""Where answers come from: OpenRouter, a model server of one's own, or the embedded model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from chuk.adapters.embedded.ports import LanguageModel
from chuk.adapters.local_models import LocalModels, embedded_model, gguf_model, served_model
from chuk.adapters.openai_compatible import Address, OpenAICompatible
from chuk.adapters.openrouter import OpenRouter
from chuk.adapters.openrouter_catalog import OpenRouterModels
from chuk.adapters.openrouter_generations import OpenRouterGenerations
from chuk.adapters.push_client import PushClient
from chuk.app.embedded import ALONE, Embedded
from chuk.catalog.ports import ModelSource
from chuk.catalog.selection import Selection, read_selection
from chuk.chat.ports import Upstream
from chuk.credits.ports import GenerationCosts
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class Models:
    """The list, the upstream, its books, and the process behind it, if any.

    `selection` restricts what somebody else offers; a model of one's own needs no permission.
    """

    using: str
    source: ModelSource
    upstream: Upstream
    origin: str
    selection: Selection = field(default_factory=Selection)
    costs: GenerationCosts | None = None
    server: LanguageModel | None = None

    async def check(self) -> str:
        """Ask for the list; the embedded model must have loaded as well."""
        if self.server is not None:
            await self.server.start()
            await self.server.ready()
        offered = await self.source.fetch([])
        return f"{len(offered)} model(s)"


def choose_models(
    settings: Settings,
    session: aiohttp.ClientSession,
    push: PushClient,
    embedded: Embedded = ALONE,
) -> Models:
    """The models that the settings name.

    Raises:
        SelectionError: the file of allowed models is not valid.
    """
    upstream, local = settings.upstream, settings.local_model
    if upstream.openrouter_api_key:
        url = upstream.openrouter_base_url.rstrip("/")
        address = Address(url, upstream.openrouter_api_key)
        selection = read_selection(
            upstream.models_file, blocked_providers=upstream.blocked_providers
        )
        return Models(
            using=f"OpenRouter at {url}",
            source=OpenRouterModels(
                session, base_url=url, api_key=address.api_key, selection=selection
            ),
            upstream=OpenRouter(push, lambda: address),
            origin=url,
            selection=selection,
            costs=OpenRouterGenerations(session, base_url=url, api_key=address.api_key),
        )
    if local.url:
        url = local.url.rstrip("/")
        address = Address(url, local.api_key)
        model = served_model(local.name, local.context_length)
        served = OpenAICompatible(push, lambda: address, model_name=local.name)
        return Models(f"{local.name} at {url}", LocalModels(model), served, url)
    path = Path(local.path) if local.path else None
    server = embedded.make_language_model(
        data_dir=settings.server.data_dir,
        model_path=path,
        context_length=local.context_length,
        threads=local.threads,
    )
    length = local.context_length
    offered = LocalModels(gguf_model(path, length) if path else embedded_model(length))
    using = f"embedded model {offered.model.name}"
    return Models(using, offered, OpenAICompatible(push, server.address), using, server=server)
