"""The server over its public address."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from chuk import __version__
from chuk.api.keys import HEALTH
from chuk.doctor import public
from chuk.doctor.findings import Finding
from tests.certificates import Authority, Pair
from tests.conftest import StartServer
from tests.doctor.conftest import Examine, says, verdicts
from tests.harness import RunningServer

_WELL = {"status": "ok", "version": __version__, "active_connections": 0}


@asynccontextmanager
async def answering(
    body: object, status: int = 200, tls: ssl.SSLContext | None = None, **headers: str
) -> AsyncIterator[str]:
    """Whatever answers `/health` so; yields its address."""

    async def health(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    app = web.Application()
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "http" if tls is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def found(examine: Examine, url: str) -> list[Finding]:
    """What is found at that address."""
    async with examine(CHUK_PUBLIC_URL=url) as examined:
        return await public.look(examined)


async def test_a_server_that_is_well_is_well_in_either_profile(
    examine: Examine, start_server: StartServer
) -> None:
    for profile in ("envelope", "bare"):
        async with start_server(CHUK_WIRE_PROFILE=profile) as server:
            assert verdicts(await found(examine, f"{server.url}/")) == ["ok"]


async def test_one_that_drains_is_told(examine: Examine, server: RunningServer) -> None:
    server.app[HEALTH].is_draining = True
    assert "draining" in says(await found(examine, server.url), "warn")


async def test_nobody_there_is_a_failure(examine: Examine) -> None:
    async with answering({}) as url:
        pass
    assert "cannot be reached" in says(await found(examine, url), "fail")


@pytest.mark.parametrize("body", [{}, [], "It works!", {"status": "ok"}])
async def test_so_is_somebody_else(examine: Examine, body: object) -> None:
    async with answering(body) as url:
        assert "not as this server does" in says(await found(examine, url), "fail")


async def test_another_version_is_told(examine: Examine) -> None:
    async with answering({**_WELL, "version": "0.0.1"}) as url:
        assert "0.0.1" in says(await found(examine, url), "warn")


async def test_an_address_that_is_not_set_is_told(examine: Examine) -> None:
    async with examine() as examined:
        assert "CHUK_PUBLIC_URL" in says(await public.look(examined), "warn")


async def test_a_certificate_that_nobody_trusts_is_a_failure(
    examine: Examine, tmp_path: Path
) -> None:
    pair = Authority(tmp_path).sign()
    async with answering(_WELL, tls=shown_with(pair)) as url:
        assert "certificate" in says(await found(examine, url), "fail")


@pytest.mark.parametrize(("days", "expected"), [(90, "ok"), (5, "warn")])
async def test_over_tls_dates_and_headers_are_looked_at(
    examine: Examine, tmp_path: Path, days: int, expected: str
) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign(days=days)
    strict = {"Strict-Transport-Security": "max-age=1"}
    async with (
        answering(_WELL, tls=shown_with(pair), **strict) as url,
        answering(_WELL, tls=shown_with(pair)) as lax,
    ):
        for address, more in ((url, []), (lax, ["warn"])):
            async with examine(CHUK_PUBLIC_URL=address) as examined:
                findings = await public.look(replace(examined, trust=authority.trust()))
            assert verdicts(findings) == ["ok", expected, *more]


def shown_with(pair: Pair) -> ssl.SSLContext:
    """For a server with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.chain, pair.key)
    return context
