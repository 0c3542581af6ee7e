"""Users of the server under trial: their money, their tokens, and what they read of an answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from chuk.app import embedded_issuer
from chuk.books import open_books
from chuk.credits.money import MicroEuro
from chuk.settings import load

_EURO = 1_000_000
_VALID = timedelta(days=2)


class Lost(Exception):
    """Something that was promised did not arrive, or arrived twice."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user, and the header that signs them in."""

    id: UUID
    headers: Mapping[str, str]


async def people(
    environ: Mapping[str, str], folder: Path, count: int, *, euros: int = 1_000
) -> list[Person]:
    """So many new users with money, and tokens of the embedded issuer."""
    settings = load(dict(environ), directory=folder)
    issuer = embedded_issuer(settings)
    assert issuer is not None
    ids = [uuid4() for _ in range(count)]
    await give(environ, folder, ids, euros=euros)
    return [Person(user, {"Authorization": f"Bearer {issuer.token(user, _VALID)}"}) for user in ids]


async def give(
    environ: Mapping[str, str], folder: Path, ids: Sequence[UUID], *, euros: int = 1_000
) -> None:
    """Credits for users, straight into the books."""
    books = await open_books(load(dict(environ), directory=folder))
    try:
        for user in ids:
            await books.ledger.grant(user, MicroEuro(euros * _EURO), f"trial {user}")
    finally:
        await books.close()


async def sse(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Each event's id and data, as they arrive; the end is the text `[DONE]`."""
    rest = b""
    async for chunk in answer.content.iter_any():
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            name, data = "", None
            for line in block.split(b"\n"):
                if line.startswith(b"id: "):
                    name = line[4:].decode()
                elif line.startswith(b"data: "):
                    text = line[6:].decode()
                    data = text if text == "[DONE]" else json.loads(text)
            if data is not None:
                yield name, data


def ending(events: Sequence[Any]) -> str:
    """`done` or the code of the error that a turn ended with.

    Raises:
        Lost: it has no end, or more than one, or goes on after it.
    """
    ends = [event for event in events if event == "[DONE]" or "done" in event or "error" in event]
    if len(ends) != 1 or events[-1] is not ends[0]:
        raise Lost(f"a turn with {len(ends)} ends among {len(events)} events")
    error = ends[0].get("error") if isinstance(ends[0], dict) else None
    return "done" if error is None else str(error["code"])


def text_of(events: Sequence[Any]) -> str:
    """What was answered."""
    return "".join(event["content"] for event in events if "content" in event)
