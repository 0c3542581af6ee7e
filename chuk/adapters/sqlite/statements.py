"""Statements about many rows at once.

Python lets go of its lock at every step of SQLite, and has to fight for it again when the event
loop is busy: a few long statements cost a fraction of many short ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

import orjson

# As many texts are kept prepared; more rows take more statements.
MOST_ROWS = 32

Item = TypeVar("Item")


def insert_rows(
    connection: sqlite3.Connection, insert: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Run `insert`, which ends before VALUES, for all rows; each fills every column it names."""
    for part in _parts(rows):
        text = _with_rows(insert, len(part[0]), len(part))
        connection.execute(text, tuple(chain.from_iterable(part)))


def select_lists(
    connection: sqlite3.Connection, select: str, values: Sequence[Any]
) -> list[list[Any]]:
    """Run `select`, which ends before its list after IN, and yields one JSON array of arrays."""
    found: list[list[Any]] = []
    for part in _parts(values):
        text = _with_list(select, len(part))
        found += orjson.loads(connection.execute(text, part).fetchone()[0])
    return found


def delete_rows(connection: sqlite3.Connection, delete: str, values: Sequence[Any]) -> None:
    """Run `delete`, which ends before its list after IN."""
    for part in _parts(values):
        connection.execute(_with_list(delete, len(part)), part)


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for begin in range(0, len(items), MOST_ROWS):
        yield items[begin : begin + MOST_ROWS]


@lru_cache(maxsize=256)
def _with_rows(insert: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"{insert} VALUES {', '.join([row] * rows)}"


@lru_cache(maxsize=256)
def _with_list(statement: str, length: int) -> str:
    return f"{statement} ({', '.join('?' * length)})"
