"""Requests made up from the OpenAPI document, for a long time, against a running server.

python -m fuzzing.requests SECONDS
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from trials.rig import UNLIMITED

from chuk import logs
from chuk.web.envelope import CHOICES, Profile, is_openai_path
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.stripe import FakeStripe
from tests.harness import RunningServer, openrouter_environ, running_server

_EXAMPLES = 25
_TRUE = [content_type_conformance, response_schema_conformance, status_code_conformance]
# A WebSocket is no request with an answer; a deleted account could ask for nothing more; ten
# large pictures at a time take longer than anybody waits.
_LEFT_OUT = {"/v1/ai/chat/ws", "/v1/user/delete-account", "/v1/images/generations"}


async def fuzz(seconds: float) -> int:
    """Go through all operations again and again; returns how many failed."""
    limits = {name: value for name, value in UNLIMITED.items() if name.startswith("CHUK_LIMIT")}
    failed: set[str] = set()
    calls = 0
    with tempfile.TemporaryDirectory(prefix="chuk-fuzz-") as folder:
        async with FakeOpenRouter() as upstream, FakeStripe() as stripe:
            environ = {**limits, **openrouter_environ(upstream), **stripe.environ()}
            async with running_server(environ, Path(folder), euros=100_000) as server:
                operations = await _operations(server)
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    for method, path in operations:
                        if time.monotonic() >= until:
                            break
                        try:
                            calls += await asyncio.to_thread(
                                _call, server, await _document(server), method, path
                            )
                        except BaseExceptionGroup as group:
                            failed.add(f"{method} {path}: {group.exceptions[0]}")
                        except AssertionError as error:
                            failed.add(f"{method} {path}: {error}")
                        del upstream.requests[:-100]
    for each in sorted(failed):
        print(f"BAD {each[:1_000]}")
    print(f"     {calls} requests to {len(operations)} operations")
    return len(failed)


def _call(server: RunningServer, document: Any, method: str, path: str) -> int:
    operation = schemathesis.openapi.from_dict(document)[path][method]
    profile = Profile.OPENAI if is_openai_path(path) else random.choice(CHOICES)
    headers = {**server.bearer(), "Accept": profile.content_type}
    calls = 0

    @seed(random.getrandbits(64))
    @settings(
        max_examples=_EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: schemathesis.Case) -> None:
        nonlocal calls
        calls += 1
        case.call_and_validate(
            base_url=server.url,
            headers=headers,
            checks=[*_TRUE, not_a_server_error],
            # A model may have to be loaded first.
            timeout=120,
        )

    call()
    return calls


async def _document(server: RunningServer) -> Any:
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        return json.loads(await answer.read())


async def _operations(server: RunningServer) -> list[tuple[str, str]]:
    document = await _document(server)
    return [
        (method.upper(), path)
        for path, each in document["paths"].items()
        for method in each
        if path not in _LEFT_OUT
    ]


if __name__ == "__main__":
    # The server is in this process, and writes a line for each request.
    logs.configure(level="error", json=True)
    sys.exit(1 if asyncio.run(fuzz(float(sys.argv[1]))) else 0)
