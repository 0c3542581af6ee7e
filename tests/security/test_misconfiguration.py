"""API8:2023, security misconfiguration: as it comes, nothing is open that need not be.

Errors without insides: tests/web/test_framework_errors.py; exact origins: tests/web/test_cors.py;
what the log tells: tests/test_logs.py; the console's own rules: tests/console; the port of the
metrics: tests/metrics; TLS: tests/edge; sandboxing: tests/deploy.
"""

from __future__ import annotations

import os
from uuid import uuid4

import pytest

from tests.conftest import StartServer
from tests.credits.people import rich
from tests.harness import MODEL, RunningServer
from tests.raw_http import RawAnswer, raw_connection, request_bytes
from tests.security.attacks import ask

TELLTALES = ("python", "aiohttp", "uvloop", "linux", "debian")


async def raw(server: RunningServer, data: bytes) -> RawAnswer:
    """The answer to these bytes."""
    async with raw_connection(server.url) as connection:
        await connection.send(data)
        return await connection.answer()


async def test_no_answer_names_what_it_is_made_of(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="1000") as server:
        for sent in (
            request_bytes("GET", "/"),
            request_bytes("GET", "/health"),
            request_bytes("GET", "/nothing"),
            request_bytes("GET", "/v1/user/status"),
            request_bytes("POST", "/", {"Content-Length": "0"}),
            request_bytes("GET", "/v1/ai/chat/ws"),
            request_bytes("GET", "/", {"Expect": "something"}),
            b"NOT HTTP AT ALL\r\n\r\n",
            request_bytes("GET", "/", {"X": "y" * 40_000}),
        ):
            answer = await raw(server, sent)
            assert answer.header("Server") == "chuk"
            text = f"{answer.headers} {answer.body!r}".lower()
            assert not [word for word in TELLTALES if word in text], sent[:60]
            assert "x-powered-by" not in answer.headers


async def test_a_stream_and_a_socket_name_nothing_either(server: RunningServer) -> None:
    body = {"model_id": MODEL, "message": "Hello"}
    told = await ask(server, "POST", "/v1/ai/chat", await rich(server), json=body)
    assert (told.status, told.headers["Server"]) == (200, "chuk")
    async with server.socket() as socket:
        assert socket._response.headers["Server"] == "chuk"


async def test_every_answer_forbids_guessing_what_it_is(server: RunningServer) -> None:
    for path in ("/", "/health", "/openapi.json", "/nothing", "/v1/user/status", "/v1/models"):
        assert (await ask(server, "GET", path)).headers["X-Content-Type-Options"] == "nosniff"


async def test_what_is_about_one_person_is_kept_by_no_cache(server: RunningServer) -> None:
    user = await rich(server)
    for path in ("/v1/user/status", "/v1/user/usage", "/v1/user/api-keys", "/v1/ai/chat/streams"):
        told = await ask(server, "GET", path, user)
        assert (told.status, told.headers["Cache-Control"]) == (200, "no-store"), path


@pytest.mark.parametrize("method", ["TRACE", "TRACK", "CONNECT", "DEBUG", "PROPFIND", "PUT"])
async def test_no_other_method_does_anything(server: RunningServer, method: str) -> None:
    answer = await raw(server, request_bytes(method, "/", {"X-Secret": "mirror-me"}))
    assert answer.status in (400, 404, 405, 501)
    assert b"mirror-me" not in answer.body


async def test_no_origin_is_allowed_by_itself_and_none_with_credentials(
    start_server: StartServer,
) -> None:
    for settings in ({}, {"CHUK_CORS_ORIGINS": "https://app.example"}):
        async with start_server(**settings) as server:
            for origin in ("https://evil.example", "null", "https://app.example.evil.example"):
                told = await ask(server, "GET", "/v1/models_info", headers={"Origin": origin})
                assert "Access-Control-Allow-Origin" not in told.headers
                assert "Access-Control-Allow-Credentials" not in told.headers
            own = await ask(
                server, "GET", "/v1/models_info", headers={"Origin": "https://app.example"}
            )
            assert own.headers.get("Access-Control-Allow-Credentials") is None
            assert own.headers.get("Access-Control-Allow-Origin") != "*"


@pytest.mark.parametrize(
    "path",
    [
        "/.env",
        "/.git/config",
        "/config/chuk.toml",
        "/var/chuk.sqlite3",
        "/metrics",
        "/debug",
        "/admin",
        "/server-status",
        "/actuator/env",
        "/swagger-ui.html",
        "/v1/ai/images/../../../etc/passwd",
        "/v1/ai/images/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/ai/images/%2e%2e/%2e%2e/issuer.key",
        "/docs/../chuk.toml",
        "/docs/..%2f__init__.py",
        "/docs/%2e%2e%2f__init__.py",
        "/console/..%2f__init__.py",
    ],
)
async def test_nothing_lies_around(server: RunningServer, path: str) -> None:
    answer = await raw(server, request_bytes("GET", path))
    assert answer.status in (404, 400)


async def test_the_console_is_not_for_the_world(start_server: StartServer) -> None:
    for settings in (
        {"CHUK_PUBLIC_URL": "https://api.chuk.test"},
        {"CHUK_TRUSTED_PROXIES": "127.0.0.1"},
        {"CHUK_CONSOLE": "off"},
    ):
        async with start_server(**settings) as server:
            assert (await ask(server, "GET", "/console")).status == 404, settings


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Content-Length: 5\r\n folded\r\n",
        b"X-A: b\nContent-Length: 5\r\n",
        b"X-A: b\rContent-Length: 5\r\n",
        b"X\0A: b\r\n",
    ],
)
async def test_two_servers_in_a_row_never_read_one_request_as_two(
    server: RunningServer, head: bytes
) -> None:
    smuggled = request_bytes("GET", "/health", {"X-Smuggled": "yes"})
    sent = b"POST /v1/ai/chat HTTP/1.1\r\nHost: test\r\n" + head + b"\r\n0\r\n\r\n" + smuggled
    async with raw_connection(server.url) as connection:
        await connection.send(sent)
        assert (await connection.answer()).status == 400
        assert await connection.is_closed_by_server()


async def test_secrets_on_disk_are_their_owners_alone(server: RunningServer) -> None:
    folder = server.settings.server.data_dir
    open_to_others = [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_mode & 0o077 and path.suffix in ("", ".key", ".secret")
    ]
    assert open_to_others == []
    assert os.stat(folder).st_mode & 0o007 == 0 or os.stat(folder).st_uid == os.getuid()


async def test_a_settings_secret_is_shown_by_no_repr(server: RunningServer) -> None:
    text = repr(server.settings)
    assert "sk-or-v1-test" not in text


async def test_an_answer_quotes_nothing_of_a_request_that_could_be_markup(
    server: RunningServer,
) -> None:
    script = "<script>alert(1)</script>"
    for method, path in (
        ("GET", f"/{script}"),
        ("GET", f"/v1/ai/config?model_id={script}"),
        ("GET", f"/v1/ai/chat/streams/{script}"),
        ("DELETE", f"/v1/user/api-keys/{script}"),
    ):
        told = await ask(server, method, path, uuid4(), headers={"X-Request-ID": script})
        assert told.headers["Content-Type"].startswith("application/json")
        assert script not in told.headers["X-Request-ID"]
