"""`chuk grant`: give a user credits, for support."""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal, InvalidOperation
from uuid import UUID, uuid4

from chuk.books import Books
from chuk.commands.opened_books import with_books
from chuk.credits.money import MicroEuro, euros, micro_euro_ceiling
from chuk.settings import Settings

_MOST = Decimal(10_000)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("grant", help="give a user credits of the present period")
    command.add_argument("user", type=UUID, metavar="USER", help="user id, a UUID")
    command.add_argument("amount", type=_amount, metavar="AMOUNT", help="euros, such as 2.50")
    command.add_argument(
        "--reference",
        metavar="TEXT",
        help="what it is for; the same text never grants twice (default: a new one)",
    )
    command.set_defaults(command=_grant)


def _amount(text: str) -> MicroEuro:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError("must be a number of euros") from None
    if not amount.is_finite() or not 0 < amount <= _MOST:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most {_MOST}")
    return micro_euro_ceiling(amount)


def _grant(options: argparse.Namespace, settings: Settings) -> int:
    reference = f"support:{options.reference or uuid4()}"

    async def work(books: Books) -> int:
        if not await books.ledger.grant(options.user, options.amount, reference):
            print(
                f"chuk: nothing granted: {reference} was granted before, or the account is "
                "being erased",
                file=sys.stderr,
            )
            return 1
        purse = await books.ledger.purse(options.user)
        print(
            f"{reference}: granted {euros(options.amount):.6f} EUR, "
            f"{euros(purse.available):.6f} EUR available now"
        )
        return 0

    return with_books(settings, work)
