"""Who may import whom, from the table that the tests check."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from scripts.documents.tables import table
from tests.house.test_imports import EVERYBODY, ROOMS


def rooms_table() -> str:
    """One row for all rooms that may import the same."""
    by_what = sorted(ROOMS.items(), key=lambda entry: (len(entry[1].split()), entry[1]))
    rows = [
        (_listed(room for room, _ in rooms), _listed(sorted(set(what.split()))) or "nobody else")
        for what, rooms in groupby(by_what, key=lambda entry: entry[1])
    ]
    everybody = f"Everybody may import {_listed(sorted(EVERYBODY.split()))}."
    return f"{everybody}\n\n{table(('Room of `chuk`', 'May import'), rows)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
