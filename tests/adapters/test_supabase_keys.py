"""The cached key set: fetched rarely, kept through failures, never a reason to sign out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest

from chuk.adapters.supabase.jwks import SupabaseKeys
from chuk.errors import InvalidToken, ServiceUnavailable
from tests.fakes.supabase_auth import FakeSupabaseAuth


@pytest.fixture
async def project() -> AsyncIterator[FakeSupabaseAuth]:
    async with FakeSupabaseAuth() as fake:
        fake.add_key("first")
        yield fake


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_one_fetch_serves_every_known_key(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession
) -> None:
    project.add_key("second", "RS256")
    keys = SupabaseKeys(session, project.url)
    found = await asyncio.gather(*(keys.key(name) for name in ["first", "second"] * 10))
    assert {key.key_id for key in found} == {"first", "second"}
    assert project.fetches == 1


async def test_unknown_keys_cause_one_fetch_per_cool_down(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession
) -> None:
    keys = SupabaseKeys(session, project.url)
    for number in range(20):
        with pytest.raises(InvalidToken):
            await keys.key(f"invented-{number}")
    assert project.fetches == 1


async def test_a_rotated_key_is_found_after_the_cool_down(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession
) -> None:
    keys = SupabaseKeys(session, project.url, cool_down=0)
    await keys.key("first")
    project.rotate("first", "second")
    assert (await keys.key("second")).key_id == "second"
    assert project.fetches == 2
    with pytest.raises(InvalidToken):
        await keys.key("first")


async def test_no_key_set_and_none_known_is_an_outage_not_a_bad_token(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession
) -> None:
    project.status = 500
    keys = SupabaseKeys(session, project.url)
    for _ in range(3):
        with pytest.raises(ServiceUnavailable):
            await keys.key("first")
    assert project.fetches == 1


async def test_known_keys_survive_an_outage(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession
) -> None:
    keys = SupabaseKeys(session, project.url, cool_down=0)
    await keys.key("first")
    project.status = 503
    with pytest.raises(ServiceUnavailable):
        await keys.key("perhaps-new")
    assert (await keys.key("first")).key_id == "first"
    project.status = 200
    with pytest.raises(InvalidToken):
        await keys.key("perhaps-new")


async def test_a_key_set_that_hangs_is_an_outage(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession
) -> None:
    project.hangs = True
    keys = SupabaseKeys(session, project.url, timeout=0.1)
    with pytest.raises(ServiceUnavailable):
        await keys.key("first")


async def test_a_project_that_is_not_there_is_an_outage(session: aiohttp.ClientSession) -> None:
    keys = SupabaseKeys(session, "http://127.0.0.1:1")
    with pytest.raises(ServiceUnavailable):
        await keys.key("first")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"keys": null}',
        b'{"keys": "abc"}',
        b'{"keys": {"first": {}}}',
        b'{"keys": ["first"]}',
        b'{"keys": [null]}',
        b'\xff{"keys": []}',
        b'{"keys": [' + b'{"kid": "x"},' * 50_000 + b"{}]}",
    ],
    ids=[
        "empty",
        "html",
        "null",
        "list",
        "number",
        "no keys",
        "null keys",
        "text",
        "object",
        "texts",
        "nulls",
        "not utf-8",
        "huge",
    ],
)
async def test_a_malformed_key_set_is_an_outage_and_costs_no_known_key(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession, body: bytes
) -> None:
    keys = SupabaseKeys(session, project.url, cool_down=0)
    await keys.key("first")
    project.body = body
    with pytest.raises(ServiceUnavailable):
        await keys.key("perhaps-new")
    assert (await keys.key("first")).key_id == "first"


@pytest.mark.parametrize(
    "entry",
    [
        b'{"kid": "odd", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}',
        b'{"kid": "odd", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"}',
        b'{"kid": "odd", "kty": "EC", "crv": "P-256", "x": 5, "y": [], "alg": "ES256"}',
        b'{"kid": "odd", "kty": "RSA", "n": "", "e": "AQAB", "alg": "RS256"}',
        b'{"kid": "odd", "kty": "RSA", "n": "AQ", "e": {}, "alg": "RS256"}',
        b'{"kid": "odd", "kty": "EC", "alg": "RS256"}',
        b'{"kid": 7, "alg": "ES256"}',
        b'{"kid": "odd", "alg": ["ES256"]}',
        b'{"alg": "ES256"}',
        b"{}",
    ],
)
async def test_a_key_that_cannot_be_used_does_not_spoil_the_others(
    project: FakeSupabaseAuth, session: aiohttp.ClientSession, entry: bytes
) -> None:
    good = orjson.dumps(project.keys["first"].public_entry())
    project.body = b'{"keys": [' + entry + b"," + good + b"]}"
    keys = SupabaseKeys(session, project.url)
    assert (await keys.key("first")).key_id == "first"
    with pytest.raises(InvalidToken):
        await keys.key("odd")
