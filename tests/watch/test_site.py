"""The port of the numbers: where it listens, what it speaks, and that it is no other."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics

from chuk.metrics.families import gauge
from chuk.metrics.merging import merged, read
from chuk.metrics.site import METRICS, MetricsSite
from chuk.settings import load
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import RunningServer, openrouter_environ
from tests.processes import served
from tests.watch.traffic import value

ENOUGH = 20
OPEN_METRICS = "application/openmetrics-text"


async def one() -> Iterable[Metric]:
    """One number."""
    return [gauge("x", "Text.", 1)]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


async def text_at(client: aiohttp.ClientSession, port: int, **headers: str) -> tuple[str, str]:
    """The document and its type."""
    async with client.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer:
        assert answer.status == 200
        return await answer.text(), answer.headers["Content-Type"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain;version=nonsense", "text/plain; version=0.0.4"),
        (f"{OPEN_METRICS};version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5", OPEN_METRICS),
        (f"{OPEN_METRICS};version=nonsense", OPEN_METRICS),
    ],
)
async def test_the_one_who_asks_chooses_the_form(
    server: RunningServer, accept: str, kind: str
) -> None:
    site = MetricsSite(server.app[METRICS].families)
    site.reserve("127.0.0.1", 0)
    await site.open()
    text, told = await text_at(server.client, site.port, Accept=accept)
    await site.close()
    assert told.startswith(kind)
    if kind == OPEN_METRICS:
        assert list(read_open_metrics(text))
        assert text.endswith("# EOF\n")
    assert "chuk_build_info{" in text


async def test_the_public_port_has_no_numbers(server: RunningServer) -> None:
    async with server.client.get(f"{server.url}/metrics") as answer:
        assert answer.status == 404


async def test_nothing_but_the_numbers_is_there(server: RunningServer) -> None:
    site = MetricsSite(one)
    site.reserve("127.0.0.1", 0)
    await site.open()
    for path in ("/", "/health", "/v1/models_info"):
        async with server.client.get(f"http://127.0.0.1:{site.port}{path}") as answer:
            assert answer.status == 404
    await site.close()


async def test_who_takes_over_is_asked_only_once_it_answers(server: RunningServer) -> None:
    async def other() -> Iterable[Metric]:
        return [gauge("y", "Text.", 1)]

    old, new = MetricsSite(one), MetricsSite(other)
    old.reserve("127.0.0.1", 0)
    await old.open()
    port = old.port
    new.reserve("127.0.0.1", port)
    for _ in range(ENOUGH):
        # Each over a connection of its own, which the kernel would give to either.
        text, _ = await text_at(server.client, port, Connection="close")
        assert "\nx " in text
    await new.open()
    await old.close()
    await old.close()
    for _ in range(ENOUGH):
        text, _ = await text_at(server.client, port, Connection="close")
        assert "\ny " in text
    await new.close()


async def test_an_address_that_was_reserved_in_vain_is_free_again() -> None:
    site = MetricsSite(one)
    port = free_port()
    site.reserve("127.0.0.1", port)
    await site.close()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


async def test_a_port_of_somebody_else_is_an_error_that_names_it() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(OSError, match=f"127.0.0.1:{port} for metrics"):
            MetricsSite(one).reserve("127.0.0.1", port)


async def test_a_server_tells_its_numbers_while_it_serves(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    port = free_port()
    environ = {**openrouter_environ(openrouter), "CHUK_METRICS_PORT": str(port)}
    async with served(tmp_path, environ) as running, aiohttp.ClientSession() as client:
        await running.well(client)
        text, _ = await text_at(client, port)
        assert value(text, "chuk_ready") == 1
        assert value(text, "chuk_http_requests_total", route="/health", status="200") >= 1
        assert value(text, "process_resident_memory_bytes") > 0


async def test_without_a_port_nothing_is_told(tmp_path: Path) -> None:
    settings = load({}, directory=tmp_path).metrics
    assert settings.port == 0
    site = MetricsSite(one)
    site.reserve_as(settings)
    await site.open()
    with pytest.raises(IndexError):
        assert site.port
    await site.close()


async def test_the_numbers_of_several_become_one_document_that_says_whose_they_are() -> None:
    family = read('# TYPE a_total counter\na_total{x="1"} 2\n# TYPE b gauge\nb 3\n')
    (a, b) = merged([({"worker": "0"}, family), ({"worker": "1"}, family)])
    assert (a.name, a.type, b.name, b.type) == ("a", "counter", "b", "gauge")
    assert [(each.name, each.labels, each.value) for each in a.samples] == [
        ("a_total", {"x": "1", "worker": "0"}, 2),
        ("a_total", {"x": "1", "worker": "1"}, 2),
    ]
