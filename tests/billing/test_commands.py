"""`chuk billing`, as an operator runs it: beside a server, over the same books."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from chuk.commands import billing
from chuk.settings import load
from tests.billing.till import Till, open_till
from tests.fakes.stripe import FakeStripe, Fault

PAID = 16_000_000


@pytest.fixture
async def till(fake: FakeStripe, session: aiohttp.ClientSession, tmp_path: Path) -> Till:
    """What a server did before it stopped: it sold a subscription and heard nothing of it."""
    async with open_till(fake, session, tmp_path) as opened:
        await opened.subscribe(tell=False)
    return opened


async def run(folder: Path, environ: Mapping[str, str], *arguments: str) -> int:
    """Run the command with these variables; it has an event loop of its own."""
    parser = argparse.ArgumentParser()
    billing.add(parser.add_subparsers())
    options = parser.parse_args(["billing", *arguments])
    settings = load({"CHUK_DATA_DIR": str(folder), **environ}, directory=folder)
    code: int = await asyncio.to_thread(options.command, options, settings)
    return code


async def available(till: Till, session: aiohttp.ClientSession, folder: Path) -> int:
    """What the user has by now."""
    async with open_till(till.fake, session, folder) as opened:
        return (await opened.purse()).available


async def test_reconcile_mends_and_a_dry_run_only_tells(
    till: Till,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = till.fake.environ()
    (customer,) = till.fake.account.customers
    assert await run(tmp_path, environ, "reconcile", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{customer}: subscription, credits",
        "1 customers compared, 1 differ, 0 failed",
    ]
    assert await available(till, session, tmp_path) == 0
    assert await run(tmp_path, environ, "reconcile") == 0
    assert "1 mended, 0 failed" in capsys.readouterr().out
    assert await available(till, session, tmp_path) == PAID
    assert await run(tmp_path, environ, "reconcile", "--dry-run") == 0
    assert capsys.readouterr().out == "1 customers compared, 0 differ, 0 failed\n"


async def test_replay_applies_one_event_or_all_that_are_pending(
    till: Till,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = till.fake.environ()
    (event,) = till.fake.account.events_of("invoice.paid")
    assert await run(tmp_path, environ, "replay") == 0
    assert capsys.readouterr().out == "0 applied, 0 still pending\n"
    assert await run(tmp_path, environ, "replay", event["id"]) == 0
    assert capsys.readouterr().out == f"{event['id']}: applied\n"
    assert await available(till, session, tmp_path) == PAID


async def test_what_cannot_be_done_is_told_in_one_line(
    till: Till, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = till.fake.environ()
    assert await run(tmp_path, environ, "replay", "evt_nobody") == 1
    assert capsys.readouterr().err == "chuk: NOT_FOUND: There is no such event.\n"
    till.fake.fail(Fault.KEY, times=None)
    assert await run(tmp_path, environ, "reconcile") == 1
    assert "PROVIDER_ERROR" in capsys.readouterr().err
    assert await run(tmp_path, {}, "reconcile") == 1
    assert "billing is off" in capsys.readouterr().err
