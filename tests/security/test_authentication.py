"""API2:2023, broken authentication: only what the issuer signed, for us, and not yet expired.

Forged and confused tokens of every kind, keys that cannot be had, and expiry are in
tests/web/test_auth.py and tests/accounts/test_tokens.py; personal keys in
tests/accounts/test_api_keys.py. Here: the tricks with key ids and headers, tokens in odd places,
floods, and that every way in asks the same question.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest

from tests.api.socket_client import closed_with, message, refused
from tests.conftest import StartServer
from tests.fakes.supabase_auth import SECRET, FakeSupabaseAuth, handmade_token
from tests.harness import RunningServer
from tests.raw_http import raw_connection, request_bytes
from tests.security.attacks import Elsewhere, ask, operations

OPEN = {
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/models_info"),
    ("GET", "/v1/ai/images/{name}"),
    # Each message on it needs a token of its own, or the one of its upgrade.
    ("GET", "/v1/ai/chat/ws"),
    # Signed by Stripe instead.
    ("POST", "/webhooks/stripe"),
}


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseAuth]:
    """A Supabase project with a key of each kind."""
    async with FakeSupabaseAuth() as fake:
        fake.add_key("ec", "ES256")
        fake.add_key("rsa", "RS256")
        yield fake


@pytest.fixture
async def guarded(
    start_server: StartServer, project: FakeSupabaseAuth
) -> AsyncIterator[RunningServer]:
    """A server for the project's users."""
    async with start_server(
        SUPABASE_URL=project.url, SUPABASE_JWT_SECRET=SECRET, CHUK_LIMIT_ADDRESS="1000"
    ) as server:
        yield server


async def code_of(server: RunningServer, token: str) -> str:
    """The code with which a token is refused; empty when it is not."""
    told = await ask(server, "GET", "/v1/ai/models", headers={"Authorization": f"Bearer {token}"})
    assert told.status in (200, 401)
    return told.code


async def test_every_route_but_the_open_ones_asks_who_it_is(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="1000") as server:
        described = set(await operations(server))
        assert described >= OPEN - {("POST", "/webhooks/stripe")}
        for method, path in sorted(described - OPEN):
            # A browser page of other people: what it adds must not be taken for a sign-in.
            if not path.startswith(("/v1/", "/webhooks/")):
                continue
            filled = path.replace("{id}", "x").replace("{key_id}", "x")
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}):
                told = await ask(server, method, filled, headers=headers)
                assert told.status == 401, (method, path, headers)
                assert told.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    [
        {"kid": "../../../../dev/null"},
        {"kid": "ec' UNION SELECT 'x"},
        {"kid": "ec\0"},
        {"kid": "EC"},
        {"kid": " ec"},
        {"kid": ""},
        {"kid": None},
        {"kid": 1},
        {"kid": {"$ne": ""}},
        {"kid": "x" * 4_000},
        {"kid": "ec", "crit": ["exp"]},
        {"kid": "ec", "alg": ["none", "ES256"]},
        {"kid": "ec", "alg": "es256"},
        {"kid": "ec", "b64": False, "crit": ["b64"]},
    ],
    ids=str,
)
async def test_a_strange_header_opens_nothing(
    guarded: RunningServer, project: FakeSupabaseAuth, header: dict[str, Any]
) -> None:
    token = handmade_token({"alg": "ES256", "typ": "JWT", **header}, project.claims(), b"x" * 64)
    assert await code_of(guarded, token) == "INVALID_TOKEN"


async def test_a_token_brings_no_key_of_its_own(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    stranger = FakeSupabaseAuth()
    stranger.add_key("ec", "ES256")
    entry = stranger.keys["ec"].public_entry()
    async with Elsewhere() as elsewhere:
        for header in (
            {"kid": "ec", "jwk": entry},
            {"jwk": entry},
            {"kid": "other", "jku": f"{elsewhere.address}/keys"},
            {"kid": "ec", "jku": f"{elsewhere.address}/keys"},
            {"kid": "ec", "x5u": f"{elsewhere.address}/chain", "x5c": ["MIIB"]},
        ):
            token = jwt.encode(
                project.claims(), stranger.keys["ec"].private, "ES256", headers=header
            )
            assert await code_of(guarded, token) == "INVALID_TOKEN", header
        assert elsewhere.visits == []


async def test_a_secret_for_hmac_is_never_the_empty_one(
    start_server: StartServer, project: FakeSupabaseAuth
) -> None:
    async with start_server(SUPABASE_URL=project.url) as server:
        header = {"alg": "HS256", "typ": "JWT"}
        signed = handmade_token(header, project.claims(), b"").rpartition(".")[0].encode()
        for secret in (b"", b"\0", b"secret", b"null", b"undefined"):
            signature = hmac.digest(secret, signed, "sha256")
            token = handmade_token(header, project.claims(), signature)
            assert await code_of(server, token) == "INVALID_TOKEN"


async def test_a_token_is_taken_from_its_header_alone(guarded: RunningServer) -> None:
    project_token = "whatever"
    for path in (
        f"/v1/ai/models?access_token={project_token}",
        f"/v1/ai/models?token={project_token}",
    ):
        assert (await ask(guarded, "GET", path)).status == 401
    told = await ask(guarded, "GET", "/v1/ai/models", headers={"Cookie": "access_token=x; sb=x"})
    assert (told.status, told.code) == (401, "UNAUTHORIZED")


async def test_a_query_or_a_cookie_signs_nobody_in_with_a_good_token_either(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    token = project.token("ec")
    assert (await ask(guarded, "GET", f"/v1/ai/models?token={token}")).status == 401
    cookie = {"Cookie": f"sb-access-token={token}; token={token}"}
    assert (await ask(guarded, "GET", "/v1/ai/models", headers=cookie)).status == 401
    async with guarded.client.ws_connect(f"{guarded.url}/v1/ai/chat/ws?token={token}") as socket:
        await socket.send_json(message())
        assert await refused(socket) == "UNAUTHORIZED"


async def test_two_authorizations_are_not_the_better_of_both(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    async with raw_connection(guarded.url) as connection:
        head = request_bytes("GET", "/v1/ai/models", {"Authorization": "Bearer a.b.c"})
        second = f"Authorization: Bearer {project.token('ec')}\r\n\r\n".encode()
        await connection.send(head.removesuffix(b"\r\n") + second)
        assert (await connection.answer()).status in (400, 401)


@pytest.mark.parametrize("size", [9_000, 15_000, 100_000, 1_000_000])
async def test_a_huge_token_is_refused_before_it_is_looked_at(
    guarded: RunningServer, size: int
) -> None:
    async with raw_connection(guarded.url) as connection:
        await connection.send(
            request_bytes("GET", "/v1/ai/models", {"Authorization": "Bearer " + "a." * (size // 2)})
        )
        assert (await connection.answer()).status in (400, 401)
    async with guarded.client.ws_connect(f"{guarded.url}/v1/ai/chat/ws") as socket:
        await socket.send_json(message(token="a." * (size // 2)))
        assert await refused(socket) == "INVALID_TOKEN"


async def test_guessing_is_slowed_down_over_sockets_as_over_http(
    start_server: StartServer, project: FakeSupabaseAuth
) -> None:
    async with start_server(
        SUPABASE_URL=project.url, CHUK_LIMIT_ADDRESS="4", CHUK_LIMIT_OTHER="100"
    ) as server:
        # The upgrade counts too.
        async with server.client.ws_connect(f"{server.url}/v1/ai/chat/ws") as socket:
            codes = []
            for number in range(3):
                await socket.send_json(message(token=f"a.{number}.c"))
                codes.append(await refused(socket))
            assert await closed_with(socket) == 1008
        assert codes == ["INVALID_TOKEN"] * 3
        told = await ask(server, "GET", "/v1/ai/models", headers={"Authorization": "Bearer a.b.c"})
        assert told.code == "RATE_LIMITED"


async def test_an_expired_token_is_worth_nothing_on_any_route_or_message(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    old = project.token("ec", exp=int(time.time()) - 3_600)
    header = {"Authorization": f"Bearer {old}"}
    for method, path in (
        ("GET", "/v1/user/status"),
        ("DELETE", "/v1/user/delete-account"),
        ("POST", "/v1/ai/chat"),
        ("GET", "/v1/models"),
    ):
        told = await ask(guarded, method, path, headers=header)
        assert told.status == 401, path
    async with guarded.client.ws_connect(f"{guarded.url}/v1/ai/chat/ws", headers=header) as socket:
        for sent in (message(), message(token=old), {"type": "resume", "stream": "x", "after": 0}):
            await socket.send_json(sent)
            assert await refused(socket) == "TOKEN_EXPIRED"
        assert await closed_with(socket) == 1008
