"""The process, its queues, and what it shares with others."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from chuk import __version__
from chuk.counts import Counts
from chuk.leadership import Leadership
from chuk.media.convert import Conversions
from chuk.media.jobs import Jobs
from chuk.metrics.families import (
    counter,
    counters,
    gauge,
    gauges,
    labelled_gauge,
    spread,
)
from chuk.web.watch import Watch


def process(
    watch: Watch, leadership: Leadership, failures: Counts, status: Callable[[], str]
) -> Iterator[Metric]:
    """What every process has."""
    build = ("version", "python")
    values = (__version__, platform.python_version())
    yield labelled_gauge("chuk_build_info", "Always 1.", build, [(values, 1)])
    yield spread(
        "chuk_event_loop_lag_seconds",
        "How much later than it should the event loop came to something, once a second.",
        watch.lag,
    )
    yield gauge("chuk_leader", "1: this process does the background jobs.", leadership.leads)
    yield gauge("chuk_ready", "1: chats can be served.", status() == "ok")
    yield gauge("chuk_draining", "1: it takes no new turns.", status() == "draining")
    yield counters("chuk_failures", "Defects: exceptions nobody foresaw.", ("part",), failures)


def telemetry(lost_spans: Callable[[], int]) -> Iterator[Metric]:
    """What is told outside."""
    yield counter("chuk_spans_lost", "Spans that the collector did not take.", lost_spans())


def media(conversions: Conversions, queues: Mapping[str, Jobs]) -> Iterator[Metric]:
    """Heavy work."""
    running = {name: jobs.running for name, jobs in queues.items()}
    waiting = {name: jobs.waiting for name, jobs in queues.items()}
    yield gauges("chuk_jobs_running", "Jobs that run.", "queue", running)
    yield gauges("chuk_jobs_waiting", "Jobs that wait for a slot.", "queue", waiting)
    yield counters(
        "chuk_conversions",
        "Files by their format, and the code of what went wrong, or OK.",
        ("format", "outcome"),
        conversions.outcomes,
    )


@dataclass(frozen=True, slots=True)
class SharedFacts:
    """What is known of Redis now.

    Attributes:
        outages, failures: how often it went away, and calls that failed, since the start.
        limits_alone: requests counted by this process alone since the start.
        waiting: answers that have something to bring to it.
        refused, shut_out: batches it did not take; answers that another process has ended.
        other_connections: chat connections of all other processes.
    """

    is_away: bool
    outages: int
    failures: int
    limits_alone: int
    waiting: int
    refused: int
    shut_out: int
    other_connections: int


def shared(look: Callable[[], SharedFacts]) -> Iterator[Metric]:
    """What all processes have together."""
    facts = look()
    yield gauge("chuk_redis_up", "1: Redis answers.", not facts.is_away)
    yield counter("chuk_redis_outages", "How often it went away.", facts.outages)
    yield counter("chuk_redis_failures", "Calls that failed, or were not tried.", facts.failures)
    yield counter(
        "chuk_rate_limits_alone", "Requests counted without the others.", facts.limits_alone
    )
    yield gauge("chuk_streams_unshipped", "Answers not all in Redis yet.", facts.waiting)
    yield counter("chuk_streams_refused", "Batches that Redis did not take.", facts.refused)
    yield counter(
        "chuk_streams_shut_out", "Answers that another process has ended.", facts.shut_out
    )
    yield gauge(
        "chuk_connections_elsewhere",
        "Open chat connections of all other processes.",
        facts.other_connections,
    )
