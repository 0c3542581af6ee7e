"""Where answers come from: OpenRouter, servers of one's own, the embedded model, or all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
from chuk.catalog.own_servers import EMBEDDED, LOCAL, OPENROUTER, OwnServer
from chuk.catalog.ports import ModelSource
from chuk.catalog.selection import Selection, read_models_file
from chuk.catalog.service import Catalog
from chuk.catalog.sources import MergedSources, NamedSource
from chuk.catalog.store import CatalogStore
from chuk.chat.breakers import BreakerRules, Breakers
from chuk.chat.losses import Losses
from chuk.chat.router import Router, RoutingRules, Service
from chuk.credits.ports import GenerationCosts
from chuk.logs import logger
from chuk.settings import Settings
from chuk.spans import NO_SPANS, Spans

_log = logger("models")

Share = Callable[[ModelSource, str, Selection], ModelSource]
"""Puts a source behind a list that several processes share; the text is its origin."""


@dataclass(frozen=True, slots=True)
class _Found:
    """One upstream: its name, what it offers, and how it is asked.

    `origin` says where a list that has to be fetched comes from.
    """

    name: str
    using: str
    source: ModelSource
    service: Service
    origin: str = ""
    costs: GenerationCosts | None = None
    server: LanguageModel | None = None


@dataclass(frozen=True, slots=True)
class Models:
    """Every upstream, what it offers, and what belongs to it.

    Attributes:
        selection: restricts what somebody else offers; a model of one's own needs no permission.
        costs: upstream's own books, where one has some.
        server: the process behind the embedded model, if it is offered.
        needs_server: whether there is nothing else.
    """

    using: str
    router: Router
    selection: Selection
    costs: GenerationCosts | None
    server: LanguageModel | None
    needs_server: bool
    _found: tuple[_Found, ...] = field(repr=False)

    def make_catalog(
        self, data_dir: Path, refresh_interval: float, share: Share | None = None
    ) -> Catalog:
        """The model list of all upstreams; each one's last known list is kept on disk."""
        sources: list[NamedSource] = []
        for each in self._found:
            if not each.origin:
                sources.append(NamedSource(each.name, each.source))
                continue
            source = each.source
            if share is not None:
                source = share(source, each.origin, self.selection)
            file = data_dir / ("catalog.json" if each.name == OPENROUTER else f"{each.name}.json")
            sources.append(NamedSource(each.name, source, CatalogStore(file, origin=each.origin)))
        merged = MergedSources(sources)
        return Catalog(
            merged, store=merged, selection=self.selection, refresh_interval=refresh_interval
        )

    def is_up(self) -> bool:
        """Whether anything can be asked, as far as is known without asking."""
        return self.server is None or not self.needs_server or self.server.is_up

    async def ready(self) -> None:
        """Wait for the embedded model, where there is nothing else."""
        if self.server is not None and self.needs_server:
            await self.server.ready()

    async def check(self) -> str:
        """Ask for the list; the embedded model must have loaded as well."""
        if self.server is not None:
            await self.server.start()
            await self.server.ready()
        offered = await MergedSources([NamedSource(e.name, e.source) for e in self._found]).fetch(
            ()
        )
        return f"{len(offered)} model(s)"

    async def close(self) -> None:
        """End what runs."""
        if self.server is not None:
            await self.server.close()
        await self.router.close()


def choose_models(
    settings: Settings,
    session: aiohttp.ClientSession,
    push: PushClient,
    embedded: Embedded = ALONE,
    spans: Spans = NO_SPANS,
) -> Models:
    """The models that the settings and the models file name.

    Raises:
        SelectionError: the models file is not valid.
    """
    upstream, local = settings.upstream, settings.local_model
    models_file = read_models_file(
        upstream.models_file, blocked_providers=upstream.blocked_providers
    )
    # One's own first: of two models with the same id it is the operator's that is meant.
    found = [_own(each, settings, push) for each in models_file.servers if _may_be_used(each)]
    if local.url:
        found.append(_local(settings, push))
    own = frozenset(each.name for each in found) | {EMBEDDED}
    selection = replace(models_file.selection, own=own)
    if upstream.openrouter_api_key:
        found.append(_openrouter(settings, session, push, selection))
    needs_server = not found
    if needs_server or local.beside:
        found.append(_embedded(settings, push, embedded))
    costs = next((each.costs for each in found if each.costs is not None), None)
    return Models(
        using=", ".join(each.using for each in found),
        router=_router(settings, found, costs, spans),
        selection=selection,
        costs=costs,
        server=next((each.server for each in found if each.server is not None), None),
        needs_server=needs_server,
        _found=tuple(found),
    )


def _may_be_used(server: OwnServer) -> bool:
    if not server.is_zdr:
        _log.warning("upstream_not_offered", upstream=server.name, reason="zdr is not set to true")
    return server.is_zdr


def _own(server: OwnServer, settings: Settings, push: PushClient) -> _Found:
    key = settings.named(server.api_key_env) if server.api_key_env else ""
    if server.api_key_env and not key:
        _log.warning("upstream_without_key", upstream=server.name, variable=server.api_key_env)
    address = Address(server.url, key)
    return _Found(
        server.name,
        f"{server.name} at {server.url}",
        LocalModels(*server.models),
        Service(OpenAICompatible(push, lambda: address, model_names=server.names)),
    )


def _local(settings: Settings, push: PushClient) -> _Found:
    local = settings.local_model
    url = local.url.rstrip("/")
    address = Address(url, local.api_key)
    model = served_model(local.name, local.context_length)
    client = OpenAICompatible(push, lambda: address, model_names={model.id: local.name})
    return _Found(LOCAL, f"{local.name} at {url}", LocalModels(model), Service(client))


def _openrouter(
    settings: Settings, session: aiohttp.ClientSession, push: PushClient, selection: Selection
) -> _Found:
    url = settings.upstream.openrouter_base_url.rstrip("/")
    address = Address(url, settings.upstream.openrouter_api_key)
    return _Found(
        OPENROUTER,
        f"OpenRouter at {url}",
        OpenRouterModels(session, base_url=url, api_key=address.api_key, selection=selection),
        Service(OpenRouter(push, lambda: address), can_ask=True),
        origin=url,
        costs=OpenRouterGenerations(session, base_url=url, api_key=address.api_key),
    )


def _embedded(settings: Settings, push: PushClient, embedded: Embedded) -> _Found:
    local = settings.local_model
    path = Path(local.path) if local.path else None
    server = embedded.make_language_model(
        data_dir=settings.server.data_dir,
        model_path=path,
        context_length=local.context_length,
        threads=local.threads,
    )
    length = local.context_length
    model = gguf_model(path, length) if path else embedded_model(length)
    return _Found(
        EMBEDDED,
        f"embedded model {model.name}",
        LocalModels(model),
        # It is restarted by this server, which knows when it can be asked.
        Service(OpenAICompatible(push, server.address), is_guarded=False),
        server=server,
    )


def _router(
    settings: Settings, found: list[_Found], costs: GenerationCosts | None, spans: Spans
) -> Router:
    routing = settings.routing
    rules = RoutingRules(
        by_throughput=routing.order == "throughput",
        attempts=routing.attempts,
        time=routing.time,
        # Before the turn itself gives up: else nobody else would be asked.
        first_byte=min(routing.first_byte_timeout, settings.upstream.first_byte_timeout / 2),
    )
    breakers = Breakers(
        BreakerRules(
            failures=routing.breaker_failures,
            error_rate=routing.breaker_error_rate,
            samples=routing.breaker_samples,
            slow_first_byte=routing.breaker_slow,
            pause=routing.breaker_pause,
            longest_pause=routing.breaker_longest_pause,
        )
    )
    services = {each.name: each.service for each in found}
    if not routing.breaker_failures:
        services = {name: replace(each, is_guarded=False) for name, each in services.items()}
    return Router(services, rules=rules, breakers=breakers, losses=Losses(costs), spans=spans)
