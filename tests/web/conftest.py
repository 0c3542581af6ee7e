"""The server that most of these tests talk to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.web.sending import MAX


@pytest.fixture
async def small(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that takes bodies of 100 kB."""
    async with start_server(
        CHUK_CHAT_MESSAGE_MAX_BYTES=str(MAX), CHUK_LIMIT_CHAT="10000"
    ) as server:
        yield server
