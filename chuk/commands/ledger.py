"""`chuk ledger`: prove the balances, and list what nobody knows the cost of."""

from __future__ import annotations

import argparse

from chuk.books import Books
from chuk.clock import iso_z
from chuk.commands.opened_books import with_books
from chuk.credits.money import euros
from chuk.settings import Settings


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    command = commands.add_parser("ledger", help="prove the balances, list unknown costs")
    actions = command.add_subparsers(required=True, metavar="ACTION")

    verify = actions.add_parser(
        "verify", help="recompute everything from the entries; fails where something differs"
    )
    verify.set_defaults(command=_verify)

    unknown = actions.add_parser("unknown", help="list the turns whose cost stayed unknown")
    unknown.add_argument(
        "--limit", type=int, default=100, metavar="COUNT", help="at most so many (default: 100)"
    )
    unknown.set_defaults(command=_unknown)


def _verify(_options: argparse.Namespace, settings: Settings) -> int:
    async def work(books: Books) -> int:
        differences = await books.ledger.verify()
        for each in differences:
            print(
                f"{each.user_id} {each.what}: recorded {each.recorded}, "
                f"by the entries {each.computed}"
            )
        if not differences:
            print("every balance, hold and usage row agrees with the entries")
        return 1 if differences else 0

    return with_books(settings, work)


def _unknown(options: argparse.Namespace, settings: Settings) -> int:
    async def work(books: Books) -> int:
        receipts = await books.ledger.unknown_costs(options.limit)
        for each in receipts:
            print(
                f"{iso_z(each.created_at)} {each.id} {each.usage.model_id} "
                f"{each.usage.provider_slug} {each.usage.generation_id or 'no generation id'} "
                f"held {euros(each.held):.6f} EUR, charged {euros(each.charged):.6f} EUR"
            )
        print(f"{len(receipts)} with an unknown cost")
        return 0

    return with_books(settings, work)
