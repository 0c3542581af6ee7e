"""Whose tokens are accepted, and that a 401 is only ever the token's own fault."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import jwt
import pytest

from tests.conftest import StartServer
from tests.fakes.supabase_auth import SECRET, USER, FakeSupabaseAuth, handmade_token
from tests.harness import RunningServer

Mint = Callable[[FakeSupabaseAuth], str]


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
    """A server for the project's users, who may also have the older kind of token."""
    async with start_server(SUPABASE_URL=project.url, SUPABASE_JWT_SECRET=SECRET) as server:
        yield server


async def ask(server: RunningServer, authorization: str | None) -> tuple[int, dict[str, Any]]:
    """Status and error (empty when there is none) of a request for the user's models."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with server.client.get(f"{server.url}/v1/ai/models", headers=headers) as answer:
        error: dict[str, Any] = (await answer.json()).get("error", {})
        if answer.status == 401:
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        return answer.status, error


async def code_of(server: RunningServer, token: str) -> str:
    """The code with which a token is refused; `ok` when it is not."""
    _, error = await ask(server, f"Bearer {token}")
    return error.get("code", "ok")


async def test_the_embedded_issuers_token_is_accepted(server: RunningServer) -> None:
    assert await ask(server, f"Bearer {server.token()}") == (200, {})


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_schemes_case_does_not_matter(server: RunningServer, scheme: str) -> None:
    assert await ask(server, f"{scheme}  {server.token()} ") == (200, {})


@pytest.mark.parametrize("authorization", [None, ""])
async def test_no_token_is_unauthorized(server: RunningServer, authorization: str | None) -> None:
    status, error = await ask(server, authorization)
    assert (status, error["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "authorization", ["Bearer", "Bearer a.b.c", "Basic dXNlcjpwYXNz", "token", "Bearer ä.ö.ü"]
)
async def test_what_is_no_token_of_ours_is_invalid(
    server: RunningServer, authorization: str
) -> None:
    status, error = await ask(server, authorization)
    assert (status, error["code"]) == (401, "INVALID_TOKEN")


async def test_an_embedded_token_means_nothing_where_supabase_signs_in(
    server: RunningServer, guarded: RunningServer
) -> None:
    assert await code_of(guarded, server.token()) == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "mint",
    [
        lambda project: project.token("ec"),
        lambda project: project.token("rsa"),
        lambda project: project.legacy_token(),
        lambda project: project.token("ec", aud=["authenticated", "other"]),
        lambda project: project.token("ec", exp=int(time.time()) - 20),
        lambda project: project.token("ec", nbf=int(time.time()) + 20),
        lambda project: project.token("ec", iat=int(time.time()) + 20),
        lambda project: project.token("ec", padding="x" * 5_000),
    ],
    ids=[
        "es256",
        "rs256",
        "hs256",
        "audiences",
        "just ended",
        "soon",
        "clock ahead",
        "large",
    ],
)
async def test_the_projects_tokens_are_accepted(
    guarded: RunningServer, project: FakeSupabaseAuth, mint: Mint
) -> None:
    assert await code_of(guarded, mint(project)) == "ok"


def _signed_by_somebody_else(project: FakeSupabaseAuth) -> str:
    other = FakeSupabaseAuth()
    other.add_key("ec")
    return other.token("ec", iss=project.issuer)


def _hs256_with_the_public_key(project: FakeSupabaseAuth, key_id: str) -> str:
    header = {"alg": "HS256", "typ": "JWT", "kid": key_id}
    signing_input = handmade_token(header, project.claims(), b"").rpartition(".")[0]
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = algorithm.sign(signing_input.encode(), project.keys[key_id].public_pem())
    return handmade_token(header, project.claims(), signature)


@pytest.mark.parametrize(
    "mint",
    [
        lambda project: project.token("ec", aud="anon"),
        lambda project: project.token("ec", aud=None),
        lambda project: project.token("ec", iss="https://elsewhere.example/auth/v1"),
        lambda project: project.token("ec", iss=None),
        lambda project: project.token("ec", role="service_role"),
        lambda project: project.token("ec", role="anon"),
        lambda project: project.token("ec", role=None),
        lambda project: project.token("ec", sub="somebody"),
        lambda project: project.token("ec", sub=""),
        lambda project: project.token("ec", sub=None),
        lambda project: project.token("ec", exp=None),
        lambda project: project.token("ec", exp=10**30),
        lambda project: project.token("ec", nbf=int(time.time()) + 600),
        lambda project: project.legacy_token(secret="another-secret-of-thirty-two-bytes"),
        lambda project: project.legacy_token(aud="anon"),
        lambda project: project.legacy_token(exp=None),
        lambda project: handmade_token({"alg": "none", "typ": "JWT"}, project.claims(), b""),
        lambda project: handmade_token({"alg": "NONE", "kid": "ec"}, project.claims(), b""),
        lambda project: handmade_token({"alg": "ES256"}, project.claims(), b"x" * 64),
        lambda project: handmade_token({"alg": "ES256", "kid": "ec"}, project.claims(), b"\0" * 64),
        lambda project: handmade_token(
            {"alg": "ES256", "kid": ["ec"]}, project.claims(), b"x" * 64
        ),
        lambda project: handmade_token({"kid": "ec"}, project.claims(), b"x" * 64),
        lambda project: project.token("ec") + "A",
        lambda project: project.token("ec").rpartition(".")[0] + ".",
        lambda project: project.token("ec").replace(".", ". ", 1),
        lambda project: _hs256_with_the_public_key(project, "ec"),
        lambda project: _hs256_with_the_public_key(project, "rsa"),
        _signed_by_somebody_else,
        lambda project: jwt.encode(
            project.claims(), project.keys["rsa"].private, "RS256", headers={"kid": "ec"}
        ),
        lambda project: jwt.encode(
            project.claims(), project.keys["rsa"].private, "RS512", headers={"kid": "rsa"}
        ),
        lambda project: jwt.encode(
            project.claims(), project.keys["rsa"].private, "PS256", headers={"kid": "rsa"}
        ),
        lambda project: project.token("ec", padding="x" * 8_000),
    ],
)
async def test_every_other_token_is_invalid(
    guarded: RunningServer, project: FakeSupabaseAuth, mint: Mint
) -> None:
    assert await code_of(guarded, mint(project)) == "INVALID_TOKEN"


async def test_no_shared_secret_no_hs256(
    start_server: StartServer, project: FakeSupabaseAuth
) -> None:
    async with start_server(SUPABASE_URL=project.url) as server:
        assert await code_of(server, project.legacy_token()) == "INVALID_TOKEN"
        assert await code_of(server, project.token("ec")) == "ok"


@pytest.mark.parametrize("kind", ["ec", "rsa", "legacy"])
async def test_an_expired_token_says_when_it_ended(
    guarded: RunningServer, project: FakeSupabaseAuth, kind: str
) -> None:
    ended = {"exp": 1_768_473_000}
    token = project.legacy_token(**ended) if kind == "legacy" else project.token(kind, **ended)
    status, error = await ask(guarded, f"Bearer {token}")
    assert (status, error["code"]) == (401, "TOKEN_EXPIRED")
    assert error["details"] == {"expired_at": "2026-01-15T10:30:00Z"}


async def test_a_token_that_ended_beyond_the_leeway_is_expired(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    token = project.token("ec", exp=int(time.time()) - 32)
    assert await code_of(guarded, token) == "TOKEN_EXPIRED"


async def test_an_expired_token_with_a_bad_signature_is_invalid(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    token = project.legacy_token(secret="another-secret-of-thirty-two-bytes", exp=1)
    assert await code_of(guarded, token) == "INVALID_TOKEN"


async def test_keys_are_fetched_once_not_per_request(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    for number in range(5):
        assert await code_of(guarded, project.token("ec", jti=str(number))) == "ok"
        assert await code_of(guarded, project.token("rsa", jti=str(number))) == "ok"
    assert project.fetches == 1


async def test_invented_key_ids_do_not_flood_the_project(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    stranger = FakeSupabaseAuth()
    for number in range(10):
        stranger.add_key(f"invented-{number}")
        token = stranger.token(f"invented-{number}", iss=project.issuer)
        assert await code_of(guarded, token) == "INVALID_TOKEN"
    assert project.fetches == 1


async def test_keys_that_cannot_be_had_are_an_outage_and_never_a_401(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    project.status = 500
    for _ in range(3):
        status, error = await ask(guarded, f"Bearer {project.token('ec')}")
        assert (status, error["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert await code_of(guarded, project.legacy_token()) == "ok"


async def test_known_keys_go_on_working_through_an_outage(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    assert await code_of(guarded, project.token("ec")) == "ok"
    project.status = 500
    assert await code_of(guarded, project.token("ec", jti="another")) == "ok"


async def test_a_project_url_may_end_with_a_slash(
    start_server: StartServer, project: FakeSupabaseAuth
) -> None:
    async with start_server(SUPABASE_URL=f"{project.url}/") as server:
        assert await code_of(server, project.token("ec")) == "ok"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/ai/chat"),
        ("GET", "/v1/ai/models"),
        ("HEAD", "/v1/ai/models"),
        ("GET", "/v1/ai/config"),
        ("GET", "/v1/user/status"),
        ("DELETE", "/v1/user/delete-account"),
        ("POST", "/v1/stripe/create-checkout-session"),
        ("POST", "/v1/stripe/create-portal-session"),
        ("POST", "/v1/stripe/sync-subscription"),
    ],
)
async def test_every_route_but_a_few_named_ones_needs_a_token(
    server: RunningServer, method: str, path: str
) -> None:
    async with server.client.request(method, f"{server.url}{path}") as answer:
        assert answer.status == 401


async def test_a_user_is_whom_the_token_names(
    guarded: RunningServer, project: FakeSupabaseAuth
) -> None:
    # Another user's bucket is not touched: the limit counts users, not tokens.
    headers = {"Authorization": f"Bearer {project.token('ec')}"}
    again = {"Authorization": f"Bearer {project.token('rsa', sub=str(USER).upper())}"}
    left = []
    for sent in (headers, again):
        async with guarded.client.get(f"{guarded.url}/v1/ai/models", headers=sent) as answer:
            left.append(int(answer.headers["X-RateLimit-Remaining"]))
    assert left[1] == left[0] - 1
