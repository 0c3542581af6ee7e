"""Compressed bodies: unpacked, but never beyond the limit."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.raw_http import raw_connection, request_bytes
from tests.web.sending import (
    FORM_DATA,
    GOOD,
    PATH,
    bomb,
    error_code,
    head,
    lives_on,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def requests(
    start_server: StartServer,
) -> AsyncIterator[tuple[RunningServer, list[web.Request]]]:
    """A server that takes bodies of 1 MB, and every request it gets."""
    seen: list[web.Request] = []

    @web.middleware
    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        seen.append(request)
        return await handler(request)

    async with start_server(
        prepare=lambda app: app.middlewares.insert(0, look),
        CHUK_CHAT_MESSAGE_MAX_BYTES="1000000",
    ) as server:
        yield server, seen


@pytest.mark.parametrize("signed_in", [True, False])
@pytest.mark.parametrize(
    ("content_type", "line"),
    [
        ("application/json", b" "),
        ("application/x-www-form-urlencoded", b"a=1&"),
        (FORM_DATA, b"\n"),
        (FORM_DATA, b"x"),
        (FORM_DATA, b"--b\r\n\r\n"),
        (FORM_DATA, b"--b\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\nx\r\n"),
    ],
)
async def test_a_bomb_is_not_unpacked_beyond_the_limit(
    requests: tuple[RunningServer, list[web.Request]],
    signed_in: bool,
    content_type: str,
    line: bytes,
) -> None:
    server, seen = requests
    packed = bomb(line, 30_000_000)
    headers = server.bearer() if signed_in else {}
    headers |= {
        "Content-Type": content_type,
        "Content-Encoding": "gzip",
        "Content-Length": str(len(packed)),
    }
    async with raw_connection(server.url) as connection:
        await connection.send(request_bytes("POST", PATH, headers, packed))
        answer = await connection.answer()
        assert answer.status in ((400, 413) if signed_in else (401,))
        error_code(answer)
        assert await connection.is_closed_by_server()
    # Neither while it was read, nor while what was left of it was read past.
    assert seen[0].content.total_bytes < 3_000_000
    await lives_on(server)


async def test_a_packed_body_is_unpacked(small: RunningServer) -> None:
    async with small.client.post(
        f"{small.url}{PATH}",
        data=gzip.compress(json.dumps(GOOD).encode()),
        headers={
            **small.bearer(),
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        },
    ) as answer:
        assert answer.status == 200
        await answer.read()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense"])
async def test_a_body_packed_wrongly_is_malformed(small: RunningServer, encoding: str) -> None:
    async with raw_connection(small.url) as connection:
        body = b"this is packed by nobody"
        await connection.send(
            head(small, Content_Encoding=encoding, Content_Length=str(len(body))) + body
        )
        answer = await connection.answer()
    assert (answer.status, error_code(answer)) == (400, "INVALID_REQUEST")
    await lives_on(small)
