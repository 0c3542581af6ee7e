"""A server to which everything has happened that is measured, and what it says of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from chuk.api.keys import DELETIONS
from chuk.logs import log_failure
from chuk.metrics.collector import exposition
from chuk.metrics.site import METRICS
from chuk.supervision.numbers import CrewNumbers
from tests.api.billing_client import WEBHOOK, bought
from tests.api.file_client import convert
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.stripe import FakeStripe
from tests.harness import RunningServer, openrouter_environ, running_server
from tests.redis_server import RedisServer

SYNTHETIC = {"up", "ALERTS"}
"""What Prometheus makes by itself."""


async def told(server: RunningServer, accept: str = "") -> str:
    """What the server says of itself now."""
    body, _ = await exposition(await server.app[METRICS].families(), accept)
    return body.decode()


def samples(text: str) -> dict[str, list[dict[str, str]]]:
    """Every name that a query can ask for, with the labels of each of its samples."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def value(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of this name that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@asynccontextmanager
async def busy_server(folder: Path, redis_server: RedisServer) -> AsyncIterator[RunningServer]:
    """A server with everything configured, after at least one of each thing that is counted."""
    async with FakeOpenRouter() as openrouter, FakeStripe() as stripe:
        environ = {
            **openrouter_environ(openrouter),
            **stripe.environ(),
            "REDIS_URL": redis_server.url,
            "CHUK_LIMIT_OTHER": "1",
            "CHUK_ROUTING_BREAKER_FAILURES": "1",
        }
        async with running_server(environ, folder, euros=10) as server:
            await server.chat("Hello")
            openrouter.script(Reply(status=502))
            async with server.client.post(
                f"{server.url}/v1/ai/chat",
                json={"model_id": "qwen/qwen3-32b", "message": "Hello"},
                headers=server.bearer(),
            ) as refused:
                assert refused.status == 502
            await convert(server, b"<h1>Yes</h1>", "page.html")
            await bought(server, stripe)
            (event,) = stripe.account.events_of("invoice.paid")
            assert await stripe.deliver(f"{server.url}{WEBHOOK}", event) == [200]
            user = server.bearer(uuid4())
            for _ in range(2):
                async with server.client.get(f"{server.url}/v1/user/status", headers=user):
                    pass
            server.app[DELETIONS].failures["turns"] += 1
            log_failure("test", RuntimeError())
            yield server


async def crew_families() -> list[Metric]:
    """What a supervisor tells of itself, besides what its workers do."""
    return await CrewNumbers(frozenset).families()
