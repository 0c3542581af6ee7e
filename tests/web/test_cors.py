"""Pages of other origins: exactly those that are configured, on every answer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDictProxy

from chuk.app import hang_areas
from tests.conftest import StartServer
from tests.harness import RunningServer

_APP = "https://app.example"
_OTHER_APP = "http://localhost:5173"
_STRANGER = "https://evil.example"
_ALLOW_ORIGIN = "Access-Control-Allow-Origin"


@pytest.fixture
async def shared(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that two origins may call."""
    async with start_server(
        CHUK_CORS_ORIGINS=f"{_APP}, {_OTHER_APP}", CHUK_LIMIT_ADDRESS="1000"
    ) as server:
        yield server


def varies_by_origin(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a cache is told that other origins get other answers."""
    listed = ",".join(headers.getall("Vary", [])).split(",")
    return "origin" in [name.strip().lower() for name in listed]


ANSWERS = [
    ("GET", "/", 200),
    ("GET", "/v1/models_info", 200),
    ("GET", "/health", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/v1/ai/models", 401),
    ("POST", "/v1/ai/chat", 401),
    ("GET", "/nowhere", 404),
    ("GET", "/v1/ai/nowhere", 404),
    ("POST", "/v1/models_info", 405),
    ("GET", "/v1/ai/chat", 405),
    ("POST", "/webhooks/stripe", 503),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
@pytest.mark.parametrize("origin", [_APP, _OTHER_APP])
async def test_an_allowed_origin_may_read_every_answer(
    shared: RunningServer, method: str, path: str, status: int, origin: str
) -> None:
    async with shared.client.request(
        method, f"{shared.url}{path}", headers={"Origin": origin}
    ) as answer:
        assert answer.status == status
        assert answer.headers.getall(_ALLOW_ORIGIN) == [origin]
        assert varies_by_origin(answer.headers)
        exposed = answer.headers["Access-Control-Expose-Headers"].lower()
        assert "x-request-id" in exposed and "retry-after" in exposed
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
@pytest.mark.parametrize(
    "origin",
    [
        _STRANGER,
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "null",
        None,
    ],
)
async def test_no_other_origin_may(
    shared: RunningServer, method: str, path: str, status: int, origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    async with shared.client.request(method, f"{shared.url}{path}", headers=headers) as answer:
        assert answer.status == status
        assert _ALLOW_ORIGIN not in answer.headers
        assert varies_by_origin(answer.headers)


async def test_a_stream_can_be_read_too(shared: RunningServer) -> None:
    async with shared.client.post(
        f"{shared.url}/v1/ai/chat",
        headers={**shared.bearer(), "Origin": _APP},
        json={"model_id": "qwen/qwen3-32b", "message": "Hello"},
    ) as answer:
        assert answer.status == 200
        assert answer.headers.getall(_ALLOW_ORIGIN) == [_APP]
        assert varies_by_origin(answer.headers)
        await answer.read()


async def test_a_preflight_needs_no_token_and_counts_for_nothing(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_CORS_ORIGINS=_APP, CHUK_LIMIT_ADDRESS="1") as server:
        for _ in range(4):
            async with server.client.options(
                f"{server.url}/v1/ai/chat",
                headers={
                    "Origin": _APP,
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization,content-type",
                },
            ) as answer:
                assert answer.status == 200
                assert answer.headers.getall(_ALLOW_ORIGIN) == [_APP]
                assert answer.headers["Access-Control-Allow-Methods"] == "POST"
                allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(",")
                assert {"authorization", "content-type"} <= {name.strip() for name in allowed}
                assert int(answer.headers["Access-Control-Max-Age"]) > 0
                assert varies_by_origin(answer.headers)


async def test_every_route_can_be_preflighted(shared: RunningServer) -> None:
    for path, route in hang_areas(web.Application(), shared.settings).all:
        async with shared.client.options(
            f"{shared.url}{re.sub('{.*?}', 'a.png', path)}",
            headers={"Origin": _APP, "Access-Control-Request-Method": route.method},
        ) as answer:
            assert answer.status == 200, path
            # Pictures are for whoever has their address, wherever the page is from.
            everybody = path.startswith("/v1/ai/images/")
            assert answer.headers[_ALLOW_ORIGIN] == ("*" if everybody else _APP)


@pytest.mark.parametrize(("origin", "method"), [(_STRANGER, "POST"), (_APP, "DELETE"), (_APP, "")])
async def test_a_preflight_for_more_than_is_allowed_is_refused_in_the_envelope(
    shared: RunningServer, origin: str, method: str
) -> None:
    async with shared.client.options(
        f"{shared.url}/v1/ai/chat",
        headers={"Origin": origin, "Access-Control-Request-Method": method},
    ) as answer:
        assert answer.status == 403
        assert (await answer.json())["error"]["code"] == "FORBIDDEN"
        assert "Access-Control-Allow-Methods" not in answer.headers


async def test_without_origins_nothing_is_said_about_them(server: RunningServer) -> None:
    for method in ("GET", "OPTIONS"):
        async with server.client.request(
            method,
            f"{server.url}/",
            headers={"Origin": _APP, "Access-Control-Request-Method": "GET"},
        ) as answer:
            assert _ALLOW_ORIGIN not in answer.headers
            assert not varies_by_origin(answer.headers)


@pytest.mark.parametrize("origin", [_APP, _OTHER_APP, None])
async def test_a_socket_opens_for_an_allowed_origin_and_for_none(
    shared: RunningServer, origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    async with shared.socket(headers=headers) as socket:
        await socket.send_json({"type": "ping"})
        assert await socket.receive_json() == {"type": "pong"}


@pytest.mark.parametrize("origin", [_STRANGER, "null", "https://app.example.evil.example", ""])
async def test_a_socket_of_another_origin_is_refused(shared: RunningServer, origin: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with shared.socket(headers={"Origin": origin, **shared.bearer()}):
            pass
    assert caught.value.status == 403


async def test_our_own_pages_may_open_a_socket(start_server: StartServer) -> None:
    async with start_server(CHUK_PUBLIC_URL="https://api.example/") as server:
        async with server.socket(headers={"Origin": "https://api.example"}) as socket:
            assert not socket.closed
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with server.socket(headers={"Origin": _APP}):
                pass
        assert caught.value.status == 403
