"""The composition root: settings, adapters, services, areas. The one room that names adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from secrets import token_hex

import aiohttp
from aiohttp import web

from chuk import __version__
from chuk.accounts.api_keys import ApiKeys
from chuk.accounts.bearers import Bearers
from chuk.accounts.deletion import DeletionPace, Deletions, Records
from chuk.accounts.locks import LockedAccounts
from chuk.accounts.ports import DeletionStep
from chuk.adapters.file_reader import LIBRARIES
from chuk.adapters.fork_server import ForkServer
from chuk.adapters.push_client import PushClient
from chuk.api import ai, console, openai, public, stripe, user, webhooks
from chuk.api.health_check import HealthCheck
from chuk.api.keys import (
    API_KEYS,
    CATALOG,
    CHECKOUT,
    CONVERSIONS,
    CREDITS,
    DELETIONS,
    DRAWING,
    EMBEDDINGS,
    EVENT_READER,
    HEALTH,
    IDEMPOTENCY,
    INBOX,
    LEDGER,
    OPENAPI,
    PICTURES,
    QUOTES,
    RECEIPTS,
    ROUTER,
    SPEECH,
    STATUS,
    STREAMS,
    SUBSCRIPTIONS,
    TRANSCRIPTIONS,
    TURNS,
)
from chuk.app.converting import Converting, make_conversions
from chuk.app.drawing import Atelier, make_drawing
from chuk.app.embedded import ALONE, Embedded
from chuk.app.embedding import make_embeddings
from chuk.app.hearing import Hearing, make_hearing
from chuk.app.idempotency import KeyedWork, PaidWork, make_idempotency
from chuk.app.models import choose_models
from chuk.app.parts import Part, Wiring
from chuk.app.payments import Payments, is_billing_on, make_payments
from chuk.app.sharing import make_sharing
from chuk.app.sign_in import embedded_issuer, log_salt, token_verifier
from chuk.app.speaking import Speaking, make_speech
from chuk.app.streaming import make_streaming
from chuk.app.telemetry import make_telemetry
from chuk.app.watching import make_collector, make_watching
from chuk.billing.erasure import UnreachableSubscription
from chuk.billing.status import StatusDesk
from chuk.books import Books, open_books
from chuk.credits.pricing import PriceList
from chuk.credits.quotes import Quotes
from chuk.credits.receipts import Receipts
from chuk.credits.reconcile import Reconciler
from chuk.credits.service import Credits
from chuk.leadership import Leadership
from chuk.metrics.site import METRICS
from chuk.settings import Settings
from chuk.tls import insist
from chuk.web.addresses import ClientAddresses
from chuk.web.connections import Connections
from chuk.web.cors import allow_origins
from chuk.web.keys import (
    ADDRESSES,
    CONNECTIONS,
    LOCKED_ACCOUNTS,
    PRESENCE,
    RATE_LIMITS,
    SETTINGS,
    SOCKETS,
    VERIFIER,
)
from chuk.web.middlewares import (
    add_headers,
    identify,
    limit_bodies,
    limit_rates,
    render_errors,
    require_auth,
    require_right,
)
from chuk.web.open_sockets import OpenSockets
from chuk.web.openapi import openapi_document
from chuk.web.routes import RouteTable
from chuk.web.watch import Watch

__all__ = ["WIRING", "Part", "Wiring", "build_app", "embedded_issuer", "hang_areas"]

WIRING = web.AppKey("wiring", Wiring)
_USER_AGENT = f"chuk/{__version__}"


async def build_app(settings: Settings, embedded: Embedded = ALONE) -> web.Application:
    """Make the application; its services start and stop with it. Needs a running event loop.

    Args:
        embedded: makes the processes that have models in them.

    Raises:
        SelectionError: the file of allowed models is not valid.
        OSError: the data folder cannot be written.
        SchemaError: the books are of a newer version than this code.
    """
    root = web.Application()
    routes = hang_areas(root, settings)
    # Unlike that of any other process, so that holds and deletions have one who answers for them.
    owner = token_hex(16)
    telemetry = make_telemetry(settings)
    watching = make_watching(telemetry)
    session = _session(settings)
    push = PushClient(
        connect_timeout=settings.upstream.connect_timeout,
        most_connections=settings.upstream.connections,
        user_agent=_USER_AGENT,
    )
    models = choose_models(settings, session, push, embedded, watching.spans)
    verifier, tokens = token_verifier(settings, session)
    connections = Connections(settings.chat.stall_timeout)
    sharing = make_sharing(settings, owner, carries=lambda: len(connections))
    rate_limits, catalog = sharing.rate_limits, sharing.catalog(settings, models)
    books = await open_books(settings)
    api_keys = ApiKeys(books.api_keys, log_salt=log_salt(settings))
    prices = PriceList(settings.prices.usd_to_eur, settings.prices.margin)
    credit_service = Credits(
        books.ledger,
        prices,
        owner=owner,
        hold_lease=settings.credits.hold_lease,
        costs=models.costs,
        ask_attempts=settings.credits.reconcile_attempts,
    )
    reconciler = Reconciler(
        books.ledger,
        prices,
        costs=models.costs,
        owner=f"{owner}:reconciler",
        interval=settings.credits.reconcile_interval,
        lease=settings.credits.hold_lease,
        attempts=settings.credits.reconcile_attempts,
        is_running=credit_service.is_open,
        leadership=sharing.leadership,
    )
    streaming = make_streaming(
        settings, catalog, models.router, credit_service, sharing, owner, watching.turns
    )
    turns = streaming.turns
    forks = ForkServer(LIBRARIES)
    hearing = make_hearing(settings, credit_service, forks.run, embedded)
    converting = make_conversions(settings, credit_service, hearing.listener, forks.run, embedded)
    speaking = make_speech(settings, session, credit_service, embedded)
    embedding = make_embeddings(settings, session, credit_service, models.selection, embedded)
    atelier = make_drawing(settings, session, credit_service, sharing.pictures, forks.run)
    payments = (
        make_payments(settings, session, books, sharing.leadership)
        if is_billing_on(settings)
        else None
    )
    locks = LockedAccounts(books.deletions, on_locked=turns.stop_of)
    idempotency = make_idempotency(settings, books.ledger, owner, sharing.connection)
    stopped: list[DeletionStep] = [
        streaming.erasure,
        KeyedWork(idempotency),
        PaidWork(credit_service),
    ]
    deletions = _deletions(settings, books, stopped, payments, locks, owner, sharing.leadership)
    sockets = OpenSockets(settings.chat.socket_idle_timeout, most=settings.chat.sockets_per_user)
    health = HealthCheck(
        {
            "models": lambda: catalog.is_loaded,
            "upstream": models.is_up,
        }
    )
    watch = Watch(
        [streaming.tick, connections.tick, sockets.tick, sharing.tick, push.tick],
        _look_interval(settings),
    )

    async def run(_app: web.Application) -> AsyncIterator[None]:
        telemetry.start()
        await sharing.start()
        await streaming.start()
        if models.server is not None:
            await models.server.start()
        await catalog.start()
        watch.start()
        await credit_service.start()
        await idempotency.start()
        await reconciler.start()
        await locks.start()
        await deletions.start()
        await atelier.pictures.start()
        if payments is not None:
            await payments.billing.reconciler.start()
        yield
        # Whoever writes in the books stops before they are closed.
        if payments is not None:
            await payments.billing.reconciler.close()
        await deletions.close()
        await locks.close()
        await watch.close()
        await catalog.close()
        await idempotency.close()
        await converting.close()
        await hearing.close()
        await atelier.pictures.close()
        await atelier.close()
        await embedding.close()
        await reconciler.close()
        await credit_service.close()
        await streaming.close()
        await close()

    async def close() -> None:
        await models.close()
        await speaking.close()
        await forks.close()
        await api_keys.close()
        await books.close()
        await sharing.close()
        push.close()
        await session.close()
        await telemetry.close()

    async def drain(_app: web.Application) -> None:
        await streaming.drain()
        await sockets.close_all()
        await speaking.drain()

    async def ready() -> None:
        await models.ready()
        await catalog.refreshed()

    bearers = root[VERIFIER] = Bearers(verifier, api_keys)
    root[SETTINGS], root[RATE_LIMITS], root[API_KEYS] = settings, rate_limits, api_keys
    root[CONNECTIONS], root[SOCKETS], root[LOCKED_ACCOUNTS] = connections, sockets, locks
    root[PRESENCE] = sharing.presence
    addresses = root[ADDRESSES] = ClientAddresses(settings.server.trusted_proxies)
    root[CATALOG], root[TURNS], root[HEALTH] = catalog, turns, health
    root[ROUTER] = models.router
    root[STREAMS], root[IDEMPOTENCY] = streaming.streams, idempotency
    root[LEDGER], root[CREDITS], root[DELETIONS] = books.ledger, credit_service, deletions
    root[RECEIPTS], root[QUOTES] = Receipts(books.ledger), Quotes(books.ledger)
    root[STATUS] = StatusDesk(books.billing, books.ledger, plan=settings.plan.name)
    _hang_media(root, converting, hearing, atelier, speaking)
    if embedding.embeddings is not None:
        root[EMBEDDINGS] = embedding.embeddings
    if payments is not None:
        root[CHECKOUT], root[SUBSCRIPTIONS] = (
            payments.billing.checkout,
            payments.billing.subscriptions,
        )
        root[INBOX], root[EVENT_READER] = payments.billing.inbox, payments.reader
    root[OPENAPI] = openapi_document(routes)
    root[METRICS] = make_collector(
        *(root, watching, sharing, streaming, reconciler, watch),
        *(each.queues for each in (converting, hearing, atelier, speaking, embedding)),
    )
    parts = [tokens, sharing.part, Part("models", models.using, models.check), _books_part(books)]
    parts.append(payments.part if payments else Part("billing", "nobody", _no_billing))
    parts += [converting.part, hearing.part, speaking.part, atelier.part, embedding.part]
    root[WIRING] = Wiring(parts, ready, close)
    root.middlewares.extend(
        [
            identify(watching.requests),
            render_errors,
            limit_bodies(routes),
            require_auth(routes, bearers, rate_limits, addresses, locks),
            limit_rates(routes, rate_limits, addresses),
            require_right(routes, locks),
        ]
    )
    root.on_response_prepare.append(add_headers)
    if settings.server.tls_cert:
        root.on_response_prepare.append(insist)
    allow_origins(root, settings.server.cors_origins)
    root.cleanup_ctx.append(run)
    root.on_shutdown.append(drain)
    return root


def hang_areas(root: web.Application, settings: Settings) -> RouteTable:
    """Hang every area on the root and return the table of all routes."""
    routes = RouteTable()
    billing = is_billing_on(settings)
    v1 = public.build(routes, root)
    console.hang(routes, root, settings)
    # The longer prefixes first: aiohttp asks the sub-applications in this order.
    root.add_subapp(ai.PREFIX, ai.build(routes, settings))
    root.add_subapp(user.PREFIX, user.build(routes))
    root.add_subapp(stripe.PREFIX, stripe.build(routes, is_on=billing))
    root.add_subapp(webhooks.PREFIX, webhooks.build(routes, is_on=billing))
    openai.hang(routes, v1, settings)
    root.add_subapp("/v1", v1)
    return routes


def _hang_media(
    root: web.Application,
    converting: Converting,
    hearing: Hearing,
    atelier: Atelier,
    speaking: Speaking,
) -> None:
    """Hang on the root what is there; a part that is not configured is not."""
    root[CONVERSIONS] = converting.conversions
    root[DRAWING], root[PICTURES] = atelier.drawing, atelier.pictures
    if hearing.transcriptions is not None:
        root[TRANSCRIPTIONS] = hearing.transcriptions
    if speaking.speech is not None:
        root[SPEECH] = speaking.speech


def _deletions(
    settings: Settings,
    books: Books,
    stopped: Sequence[DeletionStep],
    payments: Payments | None,
    locks: LockedAccounts,
    owner: str,
    leadership: Leadership,
) -> Deletions:
    """Everything of a person, in the order in which it must go; first what still costs."""
    steps: list[DeletionStep] = [*stopped]
    steps.append(
        UnreachableSubscription(books.billing) if payments is None else payments.billing.erasure
    )
    steps += [*books.erased_first, Records(books.deletions), *books.erased_last]
    pace = settings.deletion
    return Deletions(
        books.deletions,
        steps,
        locks=locks,
        owner=owner,
        log_salt=log_salt(settings),
        pace=DeletionPace(
            interval=pace.interval,
            first_retry=pace.first_retry,
            longest_retry=pace.longest_retry,
            lease=pace.lease,
        ),
        leadership=leadership,
    )


def _books_part(books: Books) -> Part:
    async def read() -> str:
        return f"{len(await books.ledger.unknown_costs(1))} unknown cost(s) at the newest end"

    return Part("books", books.using, read)


async def _no_billing() -> str:
    return "off: STRIPE_SECRET_KEY is not set"


def _session(settings: Settings) -> aiohttp.ClientSession:
    """The client for every call but completions. It keeps no cookies: they would mix users up."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.upstream.connect_timeout),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": _USER_AGENT},
    )


def _look_interval(settings: Settings) -> float:
    """Often enough for the shortest time that is looked after, and at least once a second."""
    chat, upstream = settings.chat, settings.upstream
    shortest = min(
        chat.ping_interval,
        chat.silence_interval,
        chat.stall_timeout,
        chat.socket_idle_timeout,
        chat.socket_sign_in_timeout,
        upstream.first_byte_timeout,
        upstream.read_timeout,
    )
    return min(1.0, shortest / 4)
