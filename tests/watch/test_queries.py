"""Every query of the alerts and of the dashboard asks for something that the server tells."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chuk.metrics.collector import exposition
from tests.redis_server import RedisServer
from tests.watch.promql import asked_by
from tests.watch.shipped import queries
from tests.watch.traffic import SYNTHETIC, busy_server, crew_families, samples, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

# What Prometheus adds to all it is told.
ADDED = {"job", "instance"}


def family_of(name: str) -> str:
    """The family that a sample of this name belongs to."""
    return re.sub("_(total|bucket|sum|count)$", "", name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def known(
    tmp_path_factory: pytest.TempPathFactory, _redis_of_this_run: RedisServer
) -> AsyncIterator[dict[str, list[dict[str, str]]]]:
    """All names that are told, with their labels."""
    _redis_of_this_run.empty()
    folder = tmp_path_factory.mktemp("watched")
    async with busy_server(folder, _redis_of_this_run) as server:
        text = await told(server)
    crew, _ = await exposition(await crew_families(), "")
    found = samples(text)
    for name, labels in samples(crew.decode()).items():
        found.setdefault(name, []).extend(labels)
    yield found


async def test_every_metric_of_every_query_is_told(known: dict[str, list[dict[str, str]]]) -> None:
    missing = {
        (place, name)
        for place, query in queries()
        for name in asked_by(query).names - SYNTHETIC
        if name not in known
    }
    assert missing == set()


async def test_every_label_of_every_query_is_told(known: dict[str, list[dict[str, str]]]) -> None:
    missing: set[tuple[str, str, str]] = set()
    for place, query in queries():
        asked = asked_by(query)
        for name, labels in asked.labels.items():
            if name not in SYNTHETIC:
                there = {label for each in known[name] for label in each} | ADDED
                missing |= {(place, name, label) for label in labels - there}
        there = {
            label for name in asked.names & known.keys() for each in known[name] for label in each
        }
        missing |= {(place, "by", label) for label in asked.groups - there - ADDED - {"worker"}}
    assert missing == set()


async def test_every_value_that_a_query_names_is_one_that_is_told(
    known: dict[str, list[dict[str, str]]],
) -> None:
    routes = {labels["route"] for labels in known["chuk_http_requests_total"]}
    assert "/webhooks/stripe" in routes
    assert {each["state"] for each in known["chuk_breakers"]} <= {"closed", "open", "half_open"}
    outcomes = {each["outcome"] for each in known["chuk_streams_ended_total"]}
    assert outcomes == {"completed", "failed"}


async def test_everything_that_is_told_is_on_the_screen_or_wakes_somebody(
    known: dict[str, list[dict[str, str]]],
) -> None:
    asked = {family_of(name) for _, query in queries() for name in asked_by(query).names}
    ours = {family_of(name) for name in known if name.startswith("chuk_")}
    assert ours - asked == {
        # For whoever looks for a cause.
        "chuk_catalog_refresh_failures",
        "chuk_connections_elsewhere",
        "chuk_http_requests_open",
        "chuk_orphans",
        "chuk_recordings_dropped_bytes",
        "chuk_sockets_open",
        "chuk_stream_duration_seconds",
        "chuk_streams_unshipped",
        "chuk_unsettled",
        "chuk_webhook_failures",
        "chuk_webhook_last_received_timestamp_seconds",
        "chuk_webhooks_received",
        "chuk_worker_numbers_missed",
        "chuk_workers",
    }
