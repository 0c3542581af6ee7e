"""Fixtures that every test may use."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import RunningServer, openrouter_environ, running_server
from tests.redis_server import RedisServer

StartServer = Callable[..., AbstractAsyncContextManager[RunningServer]]


@pytest.fixture(autouse=True)
def usual_log() -> Iterator[None]:
    """Undo what a command set up for its own process."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process makes its temporary files; at the end there is none."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []


@pytest.fixture(scope="session")
def _redis_of_this_run() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis_server(_redis_of_this_run: RedisServer) -> RedisServer:
    """A real Redis, empty, at `redis_server.url`; a test may stop it and start it again."""
    _redis_of_this_run.empty()
    return _redis_of_this_run


@pytest.fixture
async def openrouter() -> AsyncIterator[FakeOpenRouter]:
    """A fake OpenRouter, running."""
    async with FakeOpenRouter() as fake:
        yield fake


@pytest.fixture
def start_server(openrouter: FakeOpenRouter, tmp_path: Path) -> StartServer:
    """Start a server at the fake OpenRouter with more variables: `start_server(NAME="value")`.

    Its default user has credits, unless `euros` says otherwise.
    """

    def start(
        *,
        prepare: Callable[[web.Application], object] | None = None,
        wait_until_ready: bool = True,
        euros: int = 100,
        **environ: str,
    ) -> AbstractAsyncContextManager[RunningServer]:
        return running_server(
            {**openrouter_environ(openrouter), **environ},
            tmp_path,
            prepare=prepare,
            wait_until_ready=wait_until_ready,
            euros=euros,
        )

    return start


@pytest.fixture
async def server(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server at the fake OpenRouter, with default settings."""
    async with start_server() as running:
        yield running
