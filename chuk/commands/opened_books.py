"""The books that the settings name, open for one command."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import uvloop

from chuk import logs
from chuk.books import Books, open_books
from chuk.errors import ChukError
from chuk.settings import Settings


def with_books(settings: Settings, work: Callable[[Books], Awaitable[int]]) -> int:
    """Open the books, do the work, close them; returns the exit code, 1 for a failure."""

    async def run() -> int:
        books = await open_books(settings)
        try:
            return await work(books)
        finally:
            await books.close()

    logs.configure(level="error", json=False)
    try:
        return uvloop.run(run())
    except ChukError as error:
        print(f"chuk: {error.code}: {error.message}", file=sys.stderr)
        return 1
