"""What the framework would answer by itself is answered in the envelope too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from chuk.web.envelope import CHOICES, Profile
from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.raw_http import RawAnswer, raw_connection, request_bytes

_SECRET = "never-show-this-to-anybody"


def error_of(body: Any, profile: Profile) -> dict[str, Any]:
    """The error object, after a look at what is around it."""
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"code", "message", "details"}
    assert isinstance(error["details"], dict) and error["message"]
    expected = {"error"} if profile is Profile.ENVELOPE else {"error", "detail"}
    assert body.keys() == expected
    assert body.get("detail", error["message"]) == error["message"]
    return error


def raw_error(answer: RawAnswer, profile: Profile = Profile.ENVELOPE) -> dict[str, Any]:
    """The same of an answer read by hand; it has an id as every answer has."""
    assert answer.header("Content-Type") == profile.content_type
    assert answer.header("X-Request-ID")
    return error_of(answer.json(), profile)


@pytest.mark.parametrize("profile", CHOICES)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/v1/nowhere"),
        ("POST", "/v1/ai/edit-image"),
        ("POST", "/v1/tools/brave/search"),
        ("POST", "/v1/tools/crawl"),
        ("DELETE", "/v1/user/nowhere"),
        ("POST", "/webhooks/nowhere"),
        ("GET", "/v1/ai/chat/"),
        ("GET", "//"),
        ("GET", "/v1/ai/../../etc/passwd"),
        ("GET", "/%00%ff"),
    ],
)
async def test_an_unknown_route_is_a_404_for_people_and_programs(
    server: RunningServer, profile: Profile, method: str, path: str
) -> None:
    async with raw_connection(server.url) as connection:
        await connection.send(request_bytes(method, path, {"Accept": profile.content_type}))
        answer = await connection.answer()
    assert answer.status == 404
    error = raw_error(answer, profile)
    assert error["code"] == "NOT_FOUND"
    assert error["message"] == "This server has nothing at this address."


@pytest.mark.parametrize("profile", CHOICES)
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/", ["GET", "HEAD"]),
        ("GET", "/v1/ai/chat", ["POST"]),
        ("PUT", "/v1/ai/models", ["GET", "HEAD"]),
        ("GET", "/v1/user/delete-account", ["DELETE"]),
        ("GET", "/webhooks/stripe", ["POST"]),
        ("OPTIONS", "/v1/ai/chat", ["POST"]),
    ],
)
async def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    server: RunningServer, profile: Profile, method: str, path: str, allowed: list[str]
) -> None:
    async with server.client.request(
        method, f"{server.url}{path}", headers={"Accept": profile.content_type}
    ) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == ", ".join(allowed)
        error = error_of(await answer.json(), profile)
    assert error["code"] == "METHOD_NOT_ALLOWED"
    assert error["details"] == {"allowed": allowed}


async def test_a_body_over_the_limit_is_a_413_with_its_sizes(server: RunningServer) -> None:
    async with raw_connection(server.url) as connection:
        await connection.send(request_bytes("POST", "/v1/ai/chat", {"Content-Length": "28000001"}))
        answer = await connection.answer()
    assert answer.status == 413
    error = raw_error(answer)
    assert error["code"] == "FILE_TOO_LARGE"
    assert error["details"] == {
        "max_size_bytes": 28_000_000,
        "file_size_bytes": 28_000_001,
        "max_size_display": "28 MB",
    }


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"this is not http\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nNo colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad\x00Name: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=[
        "tls",
        "garbage",
        "version",
        "method",
        "header",
        "zero",
        "negative",
        "two lengths",
        "smuggling",
        "long header",
        "long path",
    ],
)
async def test_what_is_not_http_gets_a_400_and_the_connection_ends(
    server: RunningServer, sent: bytes
) -> None:
    async with raw_connection(server.url) as connection:
        await connection.send(sent)
        answer = await connection.answer()
        assert answer.status == 400
        assert raw_error(answer)["code"] == "INVALID_REQUEST"
        assert await connection.is_closed_by_server()
    async with server.client.get(f"{server.url}/health") as health:
        assert health.status == 200


@pytest.mark.parametrize("size", [16_400, 100_000, 1_000_000])
async def test_a_huge_token_is_refused_with_an_answer_that_arrives(
    server: RunningServer, size: int
) -> None:
    async with raw_connection(server.url) as connection:
        headers = {"Authorization": "Bearer " + "a" * size}
        await connection.send(request_bytes("GET", "/v1/ai/models", headers))
        answer = await connection.answer()
    assert answer.status == 400
    assert raw_error(answer)["code"] == "INVALID_REQUEST"


async def test_an_answer_to_bad_http_follows_the_servers_profile(
    start_server: StartServer,
) -> None:
    async with (
        start_server(CHUK_WIRE_PROFILE="bare") as server,
        raw_connection(server.url) as connection,
    ):
        await connection.send(b"this is not http\r\n\r\n")
        answer = await connection.answer()
    raw_error(answer, Profile.BARE)


@pytest.mark.parametrize("path", ["/nowhere", "/", "/v1/ai/chat"])
async def test_an_expectation_nobody_knows_is_an_error_in_the_envelope(
    server: RunningServer, path: str
) -> None:
    async with raw_connection(server.url) as connection:
        await connection.send(request_bytes("PUT", path, {"Expect": "a miracle"}))
        answer = await connection.answer()
    assert 400 <= answer.status < 500
    raw_error(answer)


async def test_an_unforeseen_exception_tells_its_request_id_and_nothing_else(
    start_server: StartServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError(_SECRET)

    async with (
        start_server(prepare=lambda app: app.router.add_get("/broken", broken)) as server,
        server.client.get(f"{server.url}/broken", headers={"X-Request-ID": "id-7"}) as answer,
    ):
        body = await answer.read()
        assert answer.status == 500
        assert answer.headers["X-Request-ID"] == "id-7"
    error = error_of(json.loads(body), Profile.ENVELOPE)
    assert error["code"] == "INTERNAL_ERROR"
    assert error["details"] == {"request_id": "id-7"}
    assert _SECRET.encode() not in body and b"RuntimeError" not in body
    written = "".join(capsys.readouterr())
    assert "id-7" in written and "RuntimeError" in written
    assert _SECRET not in written
