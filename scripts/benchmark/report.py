"""The table that is printed, and the file that is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from benchmark.contenders import CHUK
from benchmark.figures import BESIDE, Figure

_COLUMNS = ("chuk", "bare", "fastapi", "direct", "library")
_NOTE = """\
bare: a byte relay on uvloop, the limit. fastapi: FastAPI + httpx + sse-starlette on uvicorn.
direct: no relay; its quickest tokens (p5) are what the added delays are counted from. In the
paced rows FastAPI has {gentle} only: above that it falls behind for good. Where other programs
took more than a few percent of the relay's core, delays say more about them than about it.
library: what reads the format, called alone in a fresh process on the same core."""
_MONEY_NOTE = """\
Without books: the same server, whose turns hold, note and settle nothing. Supabase: a stand-in
over a real Postgres that does not wait for its disk; SQLite does. CPU is the server's own alone."""
_REACH_NOTE = """\
Kept: so that a client that was cut off can read on. Not kept: the same server with no grace time.
Workers share their cores with wrk, nginx and Redis: two cannot be quite twice one."""
_GATEWAYS_NOTE = """\
The gateways check no token and keep no books. All three stand before one nginx, on one core."""
_NOTES = {"money_": _MONEY_NOTE, "reach_": _REACH_NOTE, "gateways_": _GATEWAYS_NOTE}


def as_text(figures: Sequence[Figure], gentle: str) -> str:
    """A table of the figures about relays, and one of those that have something else beside."""
    relays = [figure for figure in figures if not figure.beside]
    parts = []
    if relays:
        parts += [_relays(relays), _NOTE.format(gentle=gentle)]
    for stage, note in _NOTES.items():
        beside = [figure for figure in figures if figure.beside and figure.key.startswith(stage)]
        if beside:
            parts += [_besides(beside), note]
    return "\n\n".join(parts)


def _relays(figures: Sequence[Figure]) -> str:
    """One row for each figure: each relay's value, chuk's ratios, the aim and whether it is met."""
    header = ["", "unit", *_COLUMNS, "chuk:bare", "chuk:fastapi", "aim", ""]
    rows = [
        [
            figure.label,
            figure.unit,
            *(number(figure.values.get(name)) for name in _COLUMNS),
            number(figure.ratio("bare")),
            number(figure.ratio("fastapi")),
            str(figure.aim or ""),
            _verdict(figure),
        ]
        for figure in figures
    ]
    return _table([header, *rows], text_columns={0, 1, len(header) - 2, len(header) - 1})


def _besides(figures: Sequence[Figure]) -> str:
    """One row for each figure: its value, what it is put beside, their ratio, and the aim."""
    header = ["", "unit", "value", "beside", "", "ratio", "aim", ""]
    rows = [
        [
            figure.label,
            figure.unit,
            number(figure.values.get(CHUK)),
            figure.beside,
            number(figure.values.get(BESIDE)),
            number(figure.ratio(BESIDE)),
            str(figure.aim or ""),
            _verdict(figure),
        ]
        for figure in figures
    ]
    return _table([header, *rows], text_columns={0, 1, 3, 6, 7})


def _verdict(figure: Figure) -> str:
    return {True: "met", False: "MISSED", None: "unknown" if figure.aim else ""}[figure.met]


def _table(rows: Sequence[Sequence[str]], *, text_columns: Container[int]) -> str:
    """The first row is the header; columns of text stand left, numbers right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Three significant digits, thousands in groups; a dash for nothing."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def write_json(file: Path, figures: Sequence[Figure], machine: Mapping[str, str]) -> None:
    """Keep everything that was measured, with what it was measured on."""
    document = {"machine": dict(machine), "figures": [figure.as_json() for figure in figures]}
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
