"""`chuk billing`: apply events again, and compare every customer with Stripe's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

from chuk import logs
from chuk.app.payments import is_billing_on, make_payments
from chuk.billing.service import Billing
from chuk.books import open_books
from chuk.errors import ChukError
from chuk.settings import Settings

Work = Callable[[Billing], Awaitable[int]]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    command = commands.add_parser("billing", help="replay events, or compare with Stripe")
    actions = command.add_subparsers(required=True, metavar="ACTION")

    replay = actions.add_parser("replay", help="apply an event again, or all that are pending")
    replay.add_argument("event", nargs="?", metavar="EVENT", help="its id at Stripe: evt_…")
    replay.set_defaults(command=_replay)

    reconcile = actions.add_parser(
        "reconcile", help="compare every customer at Stripe with ours, and mend what differs"
    )
    reconcile.add_argument("--dry-run", action="store_true", help="only say what differs")
    reconcile.set_defaults(command=_reconcile)


def _replay(options: argparse.Namespace, settings: Settings) -> int:
    async def work(billing: Billing) -> int:
        if options.event is not None:
            await billing.inbox.replay(options.event)
            print(f"{options.event}: applied")
            return 0
        applied, failed = await billing.inbox.retry_pending(at_once=True)
        print(f"{applied} applied, {failed} still pending")
        return 1 if failed else 0

    return _run(settings, work)


def _reconcile(options: argparse.Namespace, settings: Settings) -> int:
    async def work(billing: Billing) -> int:
        report = await billing.reconciliation.run(dry_run=options.dry_run)
        for customer_id, changes in report.differences.items():
            print(f"{customer_id}: {', '.join(changes)}")
        for customer_id, error in report.failures.items():
            print(f"{customer_id}: {error}", file=sys.stderr)
        what = "differ" if options.dry_run else "mended"
        print(
            f"{report.customers} customers compared, {len(report.differences)} {what}, "
            f"{len(report.failures)} failed"
        )
        return 1 if report.failures else 0

    return _run(settings, work)


def _run(settings: Settings, work: Work) -> int:
    logs.configure(level="error", json=False)
    if not is_billing_on(settings):
        print("chuk: STRIPE_SECRET_KEY is not set, so billing is off", file=sys.stderr)
        return 1
    try:
        return uvloop.run(_with_billing(settings, work))
    except ChukError as error:
        print(f"chuk: {error.code}: {error.message}", file=sys.stderr)
        return 1


async def _with_billing(settings: Settings, work: Work) -> int:
    books = await open_books(settings)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            return await work(make_payments(settings, session, books).billing)
    finally:
        await books.close()
