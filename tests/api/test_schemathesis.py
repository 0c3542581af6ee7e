"""Requests made up from the OpenAPI document, against the running server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from chuk.web.envelope import CHOICES, Profile, is_openai_path
from tests.conftest import StartServer
from tests.harness import RunningServer

_TRUE_TO_THE_DOCUMENT = [
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
_OPERATIONS = [
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/docs"),
    ("GET", "/docs/{name}"),
    ("GET", "/console"),
    ("GET", "/console/{name}"),
    ("GET", "/v1/models_info"),
    ("GET", "/v1/ai/models"),
    ("GET", "/v1/ai/config"),
    ("POST", "/v1/ai/chat"),
    ("GET", "/v1/ai/chat/streams"),
    ("GET", "/v1/ai/chat/streams/{id}"),
    ("DELETE", "/v1/ai/chat/streams/{id}"),
    ("POST", "/v1/ai/quote"),
    ("POST", "/v1/ai/convert-file"),
    ("POST", "/v1/ai/generate-image"),
    ("GET", "/v1/ai/images/{name}"),
    ("POST", "/v1/ai/inworld-tts"),
    ("POST", "/v1/ai/transcribe-audio"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{id}"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/speech"),
    ("GET", "/v1/user/status"),
    ("GET", "/v1/user/usage"),
    ("GET", "/v1/user/spending-cap"),
    ("PUT", "/v1/user/spending-cap"),
    ("POST", "/v1/user/api-keys"),
    ("GET", "/v1/user/api-keys"),
    ("DELETE", "/v1/user/api-keys/{key_id}"),
]
# They answer 503 for what is switched off, which is as it should be.
_SWITCHED_OFF = [
    ("DELETE", "/v1/user/delete-account"),
    ("POST", "/v1/stripe/create-checkout-session"),
    ("POST", "/v1/stripe/create-portal-session"),
    ("POST", "/v1/stripe/sync-subscription"),
    ("POST", "/webhooks/stripe"),
]
# Not a request with an answer; tested by hand.
_SOCKET = ("GET", "/v1/ai/chat/ws")
# Ten large pictures at a time take longer than anybody waits; tested by hand.
_PICTURES = ("POST", "/v1/images/generations")


@pytest.fixture
async def unlimited(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server whose limits are out of reach."""
    kinds = ("CHAT", "OTHER", "ADDRESS", "IMAGE", "SPEECH")
    names = [f"CHUK_LIMIT_{kind}" for kind in kinds]
    async with start_server(**dict.fromkeys(names, "100000")) as server:
        yield server


async def document_of(server: RunningServer) -> dict[str, Any]:
    """What the server says of itself."""
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document: dict[str, Any] = json.loads(await answer.read())
        return document


async def test_every_operation_is_called(server: RunningServer) -> None:
    document = await document_of(server)
    described = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert described == {*_OPERATIONS, *_SWITCHED_OFF, _SOCKET, _PICTURES}


@pytest.mark.parametrize(
    ("method", "path", "profile"),
    [
        (method, path, profile)
        for method, path in _OPERATIONS + _SWITCHED_OFF
        for profile in ((Profile.OPENAI,) if is_openai_path(path) else CHOICES)
    ],
)
async def test_made_up_requests_get_described_answers(
    unlimited: RunningServer, method: str, path: str, profile: Profile
) -> None:
    schema = schemathesis.openapi.from_dict(await document_of(unlimited))
    operation = schema[path][method]
    checks = list(_TRUE_TO_THE_DOCUMENT)
    if (method, path) in _OPERATIONS:
        checks.append(not_a_server_error)
    headers = {**unlimited.bearer(), "Accept": profile.content_type}

    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: schemathesis.Case) -> None:
        # Files are read by processes that give way to all others, on a machine that is busy.
        case.call_and_validate(base_url=unlimited.url, headers=headers, checks=checks, timeout=60)

    # The client waits for its answers, and the server runs in this thread's loop.
    await asyncio.to_thread(call)
