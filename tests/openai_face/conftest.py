"""The official client, at a server of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from tests.harness import RunningServer
from tests.openai_face.clients import client_of


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client, signed in at a server at the fake OpenRouter."""
    async with client_of(server) as found:
        yield found
