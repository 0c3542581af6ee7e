"""A server behind each of the two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.conftest import StartServer
from tests.edge.edges import Edge, edge
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import RunningServer

EDGES = ("nginx", "caddy")


@dataclass
class Behind:
    """A server, what stands in front of it, and what it asks."""

    server: RunningServer
    edge: Edge
    openrouter: FakeOpenRouter


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=EDGES)
async def behind(
    request: pytest.FixtureRequest,
    start_server: StartServer,
    openrouter: FakeOpenRouter,
    authority: Authority,
    tmp_path: Path,
) -> AsyncIterator[Behind]:
    """A server that trusts who stands in front of it."""
    environ = {"CHUK_TRUSTED_PROXIES": "127.0.0.1", "CHUK_LIMIT_ADDRESS": "3"}
    folder = tmp_path / "edge"
    folder.mkdir()
    async with (
        start_server(**environ) as server,
        edge(request.param, server.url, folder, authority) as front,
    ):
        yield Behind(server, front, openrouter)
