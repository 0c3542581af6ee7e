"""The composition root: settings, adapters, services, areas. The one file that names adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from chuk import __version__
from chuk.accounts.issuer import ISSUER, EmbeddedIssuer, installation_secret
from chuk.accounts.tokens import TokenRules, TokenVerifier
from chuk.adapters.llama import LlamaServer
from chuk.adapters.local_models import LocalModels, embedded_model, gguf_model, served_model
from chuk.adapters.openai_compatible import Address, OpenAICompatible
from chuk.adapters.openrouter import OpenRouter
from chuk.adapters.openrouter_catalog import OpenRouterModels
from chuk.adapters.push_client import PushClient
from chuk.adapters.supabase.jwks import SupabaseKeys
from chuk.api import ai, public, unconfigured
from chuk.api.health_check import HealthCheck
from chuk.api.keys import CATALOG, HEALTH, OPENAPI, TURNS
from chuk.catalog.ports import ModelSource
from chuk.catalog.selection import Selection, read_selection
from chuk.catalog.service import Catalog
from chuk.catalog.store import CatalogStore
from chuk.chat.generation import Patience
from chuk.chat.ports import Upstream
from chuk.chat.turn import Turns
from chuk.credits.pricing import PriceList
from chuk.settings import Settings
from chuk.web.addresses import ClientAddresses
from chuk.web.connections import Connections
from chuk.web.cors import allow_origins
from chuk.web.keys import ADDRESSES, CONNECTIONS, RATE_LIMITS, SETTINGS, SOCKETS, VERIFIER
from chuk.web.limits import MemoryRateLimits
from chuk.web.middlewares import (
    add_headers,
    identify,
    limit_bodies,
    limit_rates,
    render_errors,
    require_auth,
)
from chuk.web.open_sockets import OpenSockets
from chuk.web.openapi import openapi_document
from chuk.web.routes import RouteTable
from chuk.web.watch import Watch

_USER_AGENT = f"chuk/{__version__}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the server, as `chuk doctor` shows it.

    Attributes:
        using: which service or embedded stand-in serves it.
        check: asks it; returns what it found, or raises.
    """

    name: str
    using: str
    check: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Models:
    """Where answers come from: the list, the upstream, and the process behind it, if any.

    `selection` restricts what somebody else offers; a model of one's own needs no permission.
    """

    using: str
    source: ModelSource
    upstream: Upstream
    origin: str
    selection: Selection = field(default_factory=Selection)
    server: LlamaServer | None = None

    async def check(self) -> str:
        """Ask for the list; the embedded model must have loaded as well."""
        if self.server is not None:
            await self.server.start()
            await self.server.ready()
        offered = await self.source.fetch([])
        return f"{len(offered)} model(s)"


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the commands need of an application besides running it.

    Attributes:
        ready: returns once chats can be served.
        close: ends what `build_app` itself opened; an application that ran does so by itself.
    """

    parts: list[Part]
    ready: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


WIRING = web.AppKey("wiring", Wiring)


async def build_app(settings: Settings) -> web.Application:
    """Make the application; its services start and stop with it. Needs a running event loop.

    Raises:
        SelectionError: the file of allowed models is not valid.
        OSError: the data folder cannot be written.
    """
    root = web.Application()
    routes = hang_areas(root, settings)
    session = _session(settings)
    push = PushClient(
        connect_timeout=settings.upstream.connect_timeout,
        most_connections=settings.upstream.connections,
        user_agent=_USER_AGENT,
    )
    models = _models(settings, session, push)
    catalog = Catalog(
        models.source,
        store=CatalogStore(settings.server.data_dir / "catalog.json", origin=models.origin),
        selection=models.selection,
        refresh_interval=settings.upstream.catalog_refresh,
    )
    verifier, tokens = _verifier(settings, session)
    limits = settings.limits
    rate_limits = MemoryRateLimits(
        {name: getattr(limits, name) for name in limits.__dataclass_fields__}
    )
    turns = Turns(
        catalog=catalog,
        upstream=models.upstream,
        prices=PriceList(settings.prices.usd_to_eur, settings.prices.margin),
        patience=Patience(
            first_byte=settings.upstream.first_byte_timeout,
            between_reads=settings.upstream.read_timeout,
            silence=settings.chat.silence_interval,
        ),
    )
    connections = Connections(settings.chat.stall_timeout)
    sockets = OpenSockets(settings.chat.socket_idle_timeout)
    health = HealthCheck(
        {
            "models": lambda: catalog.is_loaded,
            "upstream": lambda: models.server is None or models.server.is_up,
        }
    )
    watch = Watch(
        [turns.tick, connections.tick, sockets.tick, rate_limits.tick, push.tick],
        _look_interval(settings),
    )

    async def run(_app: web.Application) -> AsyncIterator[None]:
        if models.server is not None:
            await models.server.start()
        await catalog.start()
        watch.start()
        yield
        await watch.close()
        await catalog.close()
        await close()

    async def close() -> None:
        if models.server is not None:
            await models.server.close()
        push.close()
        await session.close()

    async def drain(_app: web.Application) -> None:
        await turns.drain(0)
        await sockets.close_all()

    async def ready() -> None:
        if models.server is not None:
            await models.server.ready()
        await catalog.refreshed()

    root[SETTINGS], root[VERIFIER], root[RATE_LIMITS] = settings, verifier, rate_limits
    root[CONNECTIONS], root[SOCKETS] = connections, sockets
    addresses = root[ADDRESSES] = ClientAddresses(settings.server.trusted_proxies)
    root[CATALOG], root[TURNS], root[HEALTH] = catalog, turns, health
    root[OPENAPI] = openapi_document(routes)
    root[WIRING] = Wiring([tokens, Part("models", models.using, models.check)], ready, close)
    root.middlewares.extend(
        [
            identify,
            render_errors,
            limit_bodies(routes),
            require_auth(routes, verifier, rate_limits, addresses),
            limit_rates(routes, rate_limits, addresses),
        ]
    )
    root.on_response_prepare.append(add_headers)
    allow_origins(root, settings.server.cors_origins)
    root.cleanup_ctx.append(run)
    root.on_shutdown.append(drain)
    return root


def hang_areas(root: web.Application, settings: Settings) -> RouteTable:
    """Hang every area on the root and return the table of all routes."""
    routes = RouteTable()
    v1 = public.build(routes, root)
    # The longer prefixes first: aiohttp asks the sub-applications in this order.
    root.add_subapp(ai.PREFIX, ai.build(routes, message_max_bytes=settings.chat.message_max_bytes))
    root.add_subapp("/v1/user", unconfigured.build_user(routes))
    root.add_subapp("/v1/stripe", unconfigured.build_stripe(routes))
    root.add_subapp("/webhooks", unconfigured.build_webhooks(routes))
    root.add_subapp("/v1", v1)
    return routes


def embedded_issuer(settings: Settings) -> EmbeddedIssuer | None:
    """The issuer of this installation; None where a Supabase project signs people in.

    Raises:
        OSError: the data folder cannot be written.
    """
    if settings.supabase.url:
        return None
    return EmbeddedIssuer(installation_secret(_secrets(settings), "issuer.key"))


def _secrets(settings: Settings) -> Path:
    return settings.server.data_dir / "secrets"


def _session(settings: Settings) -> aiohttp.ClientSession:
    """The client for every call but completions. It keeps no cookies: they would mix users up."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.upstream.connect_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": _USER_AGENT},
    )


def _models(settings: Settings, session: aiohttp.ClientSession, push: PushClient) -> Models:
    upstream, local = settings.upstream, settings.local_model
    if upstream.openrouter_api_key:
        url = upstream.openrouter_base_url.rstrip("/")
        address = Address(url, upstream.openrouter_api_key)
        selection = read_selection(
            upstream.models_file, blocked_providers=upstream.blocked_providers
        )
        source = OpenRouterModels(
            session, base_url=url, api_key=address.api_key, selection=selection
        )
        served_by = OpenRouter(push, lambda: address)
        return Models(f"OpenRouter at {url}", source, served_by, url, selection)
    if local.url:
        url = local.url.rstrip("/")
        address = Address(url, local.api_key)
        model = served_model(local.name, local.context_length)
        served = OpenAICompatible(push, lambda: address, model_name=local.name)
        return Models(f"{local.name} at {url}", LocalModels(model), served, url)
    path = Path(local.path) if local.path else None
    server = LlamaServer(
        data_dir=settings.server.data_dir,
        model_path=path,
        context_length=local.context_length,
        threads=local.threads,
    )
    length = local.context_length
    embedded = LocalModels(gguf_model(path, length) if path else embedded_model(length))
    using = f"embedded model {embedded.model.name}"
    return Models(using, embedded, OpenAICompatible(push, server.address), using, server=server)


def _verifier(settings: Settings, session: aiohttp.ClientSession) -> tuple[TokenVerifier, Part]:
    supabase = settings.supabase
    salt = installation_secret(_secrets(settings), "log.salt")
    issuer = embedded_issuer(settings)
    if issuer is not None:

        async def made() -> str:
            principal = await verifier.verify(issuer.token())
            return f"made and verified a token for {principal.user_id}"

        verifier = TokenVerifier(issuer.rules(), None, log_salt=salt)
        return verifier, Part("tokens", f"embedded issuer ({ISSUER})", made)
    keys = SupabaseKeys(session, supabase.url)
    rules = TokenRules(
        issuer=f"{supabase.url.rstrip('/')}/auth/v1",
        secret=supabase.jwt_secret.encode() or None,
    )

    async def fetched() -> str:
        return f"{await keys.probe()} signing key(s)"

    part = Part("tokens", f"Supabase at {supabase.url}", fetched)
    return TokenVerifier(rules, keys, log_salt=salt), part


def _look_interval(settings: Settings) -> float:
    """Often enough for the shortest time that is looked after, and at least once a second."""
    chat, upstream = settings.chat, settings.upstream
    shortest = min(
        chat.silence_interval,
        chat.stall_timeout,
        chat.socket_idle_timeout,
        upstream.first_byte_timeout,
        upstream.read_timeout,
    )
    return min(1.0, shortest / 4)
