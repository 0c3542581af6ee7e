"""The table that is printed, and the file that is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.figures import Figure

_COLUMNS = ("chuk", "bare", "fastapi", "direct", "library")
_NOTE = """\
bare: a byte relay on uvloop, the limit. fastapi: FastAPI + httpx + sse-starlette on uvicorn.
direct: no relay; its quickest tokens (p5) are what the added delays are counted from. In the
paced rows FastAPI has {gentle} only: above that it falls behind for good. Where other programs
took more than a few percent of the relay's core, delays say more about them than about it.
library: what reads the format, called alone in a fresh process on the same core."""


def as_table(figures: Sequence[Figure], gentle: str) -> str:
    """One row for each figure: each relay's value, chuk's ratios, the aim and whether it is met."""
    header = ["", "unit", *_COLUMNS, "chuk:bare", "chuk:fastapi", "aim", ""]
    rows = [header]
    for figure in figures:
        rows.append(
            [
                figure.label,
                figure.unit,
                *(number(figure.values.get(name)) for name in _COLUMNS),
                number(figure.ratio("bare")),
                number(figure.ratio("fastapi")),
                str(figure.aim or ""),
                {True: "met", False: "MISSED", None: "unknown" if figure.aim else ""}[figure.met],
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    text_columns = {0, 1, len(header) - 2, len(header) - 1}
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([*lines, "", _NOTE.format(gentle=gentle)])


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
