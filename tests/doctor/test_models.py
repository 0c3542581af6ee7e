"""The list of providers without retention, and the block list."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from chuk.doctor import models
from chuk.doctor.findings import Finding
from tests.conftest import StartServer
from tests.doctor.conftest import Examine, says, verdicts
from tests.fakes.openrouter import FakeOpenRouter, Fault
from tests.harness import MODEL, openrouter_environ

_KEPT = "data/catalog.json"
_HOUR = 3600.0


async def found(examine: Examine, openrouter: FakeOpenRouter, **environ: str) -> list[Finding]:
    """What is found with this upstream."""
    async with examine(**openrouter_environ(openrouter), **environ) as examined:
        return await models.look(examined)


async def keep_list(start_server: StartServer, tmp_path: Path, age: float) -> None:
    """Let a server write its list, so many seconds ago."""
    async with start_server():
        pass
    then = time.time() - age
    os.utime(tmp_path / _KEPT, (then, then))


async def test_without_upstream_none_is_needed(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await models.look(examined)) == ["ok"]


async def test_a_first_list_and_one_that_is_the_same_are_well(
    examine: Examine, openrouter: FakeOpenRouter, start_server: StartServer, tmp_path: Path
) -> None:
    assert verdicts(await found(examine, openrouter)) == ["ok", "ok"]
    # Nothing has changed for a month: the file is as old, and right.
    await keep_list(start_server, tmp_path, 30 * 24 * _HOUR)
    assert verdicts(await found(examine, openrouter)) == ["ok", "ok"]


@pytest.mark.parametrize(
    ("age", "expected"), [(60.0, "ok"), (2 * _HOUR, "warn"), (48 * _HOUR, "fail")]
)
async def test_a_provider_that_began_to_keep_data_must_go_soon(
    examine: Examine,
    openrouter: FakeOpenRouter,
    start_server: StartServer,
    tmp_path: Path,
    age: float,
    expected: str,
) -> None:
    await keep_list(start_server, tmp_path, age)
    model = openrouter.model(MODEL)
    changed = next(each for each in model.endpoints if each.zdr)
    changed.zdr = False
    findings = await found(examine, openrouter)
    assert verdicts(findings) == [expected, "ok"]
    assert expected == "ok" or changed.tag in findings[0].says


async def test_a_list_that_cannot_be_had_is_a_failure(
    examine: Examine, openrouter: FakeOpenRouter
) -> None:
    openrouter.fail("/endpoints/zdr", Fault(status=500))
    assert "cannot be had" in says(await found(examine, openrouter), "fail")


async def test_a_blocked_name_that_nobody_has_is_told(
    examine: Examine, openrouter: FakeOpenRouter
) -> None:
    openrouter.other_providers.remove("friendli")
    assert says(await found(examine, openrouter), "warn").count("friendli") == 1
    blocked = "Alibaba,deepinfra/fp8"
    assert verdicts(await found(examine, openrouter, CHUK_BLOCKED_PROVIDERS=blocked))[1] == "ok"
    openrouter.fail("/providers", Fault(status=500))
    assert "does not say" in says(await found(examine, openrouter), "warn")


@asynccontextmanager
async def metrics(text: str) -> AsyncIterator[str]:
    """What a running server tells Prometheus; yields the port."""

    async def tell(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/metrics", tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield str(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("age", "expected"),
    [("12.5", "ok"), (str(1.5 * _HOUR), "warn"), (str(25 * _HOUR), "fail"), (None, "ok")],
)
async def test_a_running_server_tells_how_old_its_list_is(
    examine: Examine, openrouter: FakeOpenRouter, age: str | None, expected: str
) -> None:
    told = "# TYPE chuk_catalog_age_seconds gauge\n"
    if age is not None:
        for worker, each in enumerate(("1.0", age)):
            told += f'chuk_catalog_age_seconds{{worker="{worker}"}} {each}\n'
    async with metrics(told) as port:
        findings = await found(examine, openrouter, CHUK_METRICS_PORT=port)
    assert verdicts(findings) == [expected, "ok"]
