"""Requests, turns and those who answer them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from chuk.catalog.service import Catalog
from chuk.chat.recording import MemoryStreams
from chuk.chat.router import Router
from chuk.chat.turn import Turns
from chuk.metrics.families import (
    counter,
    counters,
    gauge,
    labelled_gauge,
    spread,
    spreads,
    word_counter,
)
from chuk.web.connections import Connections
from chuk.web.limits import RateLimits
from chuk.web.open_sockets import OpenSockets
from chuk.web.request_meter import RequestMeter

_PROVIDER = ("upstream", "provider")


def requests(
    meter: RequestMeter, connections: Connections, sockets: OpenSockets, limits: RateLimits
) -> Iterator[Metric]:
    """What comes in."""
    yield counters(
        "chuk_http_requests",
        "Requests that were answered; 499: their client left before.",
        ("route", "method", "status"),
        meter.answered,
    )
    yield spreads(
        "chuk_http_request_duration_seconds",
        "From a request's head to the end of its answer, streams and sockets included.",
        ("route", "method", "status"),
        meter.durations,
    )
    yield gauge("chuk_http_requests_open", "Requests that are being answered.", meter.open)
    yield gauge("chuk_connections_open", "Open chat connections of both kinds.", len(connections))
    yield gauge("chuk_sockets_open", "Open WebSockets.", len(sockets))
    yield word_counter(
        "chuk_rate_limit_refusals",
        "Requests and messages over a limit.",
        ("bucket",),
        [((bucket,), count) for bucket, count in sorted(limits.refused.items())],
    )


def turns(running: Turns) -> Iterator[Metric]:
    """What is asked and answered."""
    meter = running.meter
    yield gauge("chuk_streams_open", "Turns that run.", running.running)
    yield counter("chuk_streams_begun", "Turns that were begun.", meter.begun)
    yield counters(
        "chuk_streams_ended",
        "Turns that are over: completed, cancelled, interrupted (an error after a part of the "
        "answer), failed (before any), refused (before upstream was asked).",
        ("outcome", "code"),
        meter.ended,
    )
    yield spread("chuk_stream_duration_seconds", "Of whole turns.", meter.durations)
    yield spreads(
        "chuk_first_token_seconds",
        "From a turn's beginning to the first piece of its answer.",
        _PROVIDER,
        meter.first_token,
    )
    yield counters("chuk_tokens", "By upstream's count.", (*_PROVIDER, "kind"), meter.tokens)


def upstreams(router: Router, running: Turns) -> Iterator[Metric]:
    """Who answers."""
    yield counters(
        "chuk_upstream_errors",
        "Attempts that failed.",
        (*_PROVIDER, "code"),
        router.errors,
        running.meter.errors,
    )
    breakers = Counter(
        (each.breaker.target.upstream, each.breaker.target.provider, each.breaker.state.value)
        for each in router.report()
    )
    yield labelled_gauge(
        "chuk_breakers",
        "Models of a provider whose breaker is closed, open or half_open.",
        (*_PROVIDER, "state"),
        sorted(breakers.items()),
    )
    yield counter("chuk_fallbacks", "Turns that went on to another provider.", router.fallbacks)
    yield counter(
        "chuk_passed_over", "Providers not asked for an open breaker.", router.passed_over
    )
    losses = router.losses
    yield counter("chuk_losses", "Failed attempts that upstream charged for.", losses.count)
    yield counter("chuk_losses_usd", "What it charged for them, in dollars.", float(losses.usd))
    yield counter(
        "chuk_losses_unknown", "Failed attempts whose cost could not be learnt.", losses.unknown
    )


class CatalogReading:
    """The model list. Before the first one its age is that of the server."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._began_at = time.monotonic()

    def __call__(self) -> Iterator[Metric]:
        catalog = self._catalog
        refreshed_at = catalog.refreshed_at or self._began_at
        yield gauge(
            "chuk_catalog_age_seconds",
            "Since the whole model list was last had from its source.",
            time.monotonic() - refreshed_at,
        )
        yield gauge("chuk_catalog_models", "Models that are offered.", len(catalog.models))
        yield counter(
            "chuk_catalog_refresh_failures",
            "Refreshes of the model list that failed.",
            catalog.failed_refreshes,
        )


def recordings(kept: MemoryStreams) -> Iterator[Metric]:
    """Answers that can be read again, in this process."""
    yield gauge("chuk_recordings", "Answers that are kept.", kept.kept)
    yield gauge("chuk_recordings_bytes", "Bytes set aside for them.", kept.size)
    yield counter("chuk_recordings_dropped", "Answers given up for a bound.", kept.dropped)
    yield counter("chuk_recordings_dropped_bytes", "Their bytes.", kept.dropped_bytes)
