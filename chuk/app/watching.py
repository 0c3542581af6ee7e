"""Who counts, and how the counts are read."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from chuk.adapters.redis.limits import RedisRateLimits
from chuk.api.keys import (
    CATALOG,
    CONVERSIONS,
    CREDITS,
    DELETIONS,
    HEALTH,
    INBOX,
    ROUTER,
    TURNS,
)
from chuk.app.sharing import Sharing
from chuk.app.streaming import Streaming
from chuk.app.telemetry import Telemetry
from chuk.chat.meter import TurnMeter
from chuk.credits.reconcile import Reconciler
from chuk.logs import failures
from chuk.media.jobs import Jobs
from chuk.metrics import chat, machine, money
from chuk.metrics.collector import Collector, Reading
from chuk.spans import Spans
from chuk.web.keys import CONNECTIONS, RATE_LIMITS, SOCKETS
from chuk.web.request_meter import RequestMeter
from chuk.web.watch import Watch


@dataclass(frozen=True, slots=True)
class Watching:
    """What the services are given, so that they count."""

    spans: Spans
    requests: RequestMeter
    turns: TurnMeter
    lost_spans: Callable[[], int] | None


def make_watching(telemetry: Telemetry) -> Watching:
    """Meters that have counted nothing yet."""
    spans = telemetry.spans
    return Watching(spans, RequestMeter(spans), TurnMeter(spans), telemetry.lost)


def make_collector(
    root: web.Application,
    watching: Watching,
    sharing: Sharing,
    streaming: Streaming,
    reconciler: Reconciler,
    watch: Watch,
    *queues: Mapping[str, Jobs],
) -> Collector:
    """Readings of everything that hangs on the application."""
    turns, health = root[TURNS], root[HEALTH]
    readings: list[Reading] = [
        partial(
            chat.requests,
            watching.requests,
            root[CONNECTIONS],
            root[SOCKETS],
            root[RATE_LIMITS],
        ),
        partial(chat.turns, turns),
        partial(chat.upstreams, root[ROUTER], turns),
        chat.CatalogReading(root[CATALOG]),
        partial(chat.recordings, streaming.local),
        partial(money.holds, root[CREDITS]),
        partial(money.orphans, reconciler),
        partial(money.deletions, root[DELETIONS]),
        partial(machine.process, watch, sharing.leadership, failures, health.status),
        partial(machine.media, root[CONVERSIONS], ChainMap(*map(dict, queues))),
    ]
    if INBOX in root:
        readings.append(partial(money.webhooks, root[INBOX]))
    if sharing.connection is not None:
        readings.append(partial(machine.shared, partial(_shared, sharing, streaming)))
    if watching.lost_spans is not None:
        readings.append(partial(machine.telemetry, watching.lost_spans))
    return Collector(readings)


def _shared(sharing: Sharing, streaming: Streaming) -> machine.SharedFacts:
    connection, shared, limits = sharing.connection, streaming.shared, sharing.rate_limits
    assert connection is not None and shared is not None and isinstance(limits, RedisRateLimits)
    shipper = shared.shipper
    return machine.SharedFacts(
        is_away=connection.is_away,
        outages=connection.outages,
        failures=connection.failures,
        limits_alone=limits.alone,
        waiting=shipper.waiting,
        refused=shipper.refused,
        shut_out=shipper.shut_out,
        other_connections=sharing.presence.others,
    )
