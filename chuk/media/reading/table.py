"""Comma-separated values, whatever they are separated by."""

from __future__ import annotations

import csv
import io

from chuk.errors import CorruptFile
from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.markdown import table
from chuk.media.reading.source import Reading, Source, of_text

_SAMPLE = 20_000
_MOST_COLUMNS = 500
_LONGEST_FIELD = 1_000_000


def read(source: Source, desk: Desk) -> Reading:
    """A table, as long as there is room for it."""
    text = decode(source.data)
    csv.field_size_limit(_LONGEST_FIELD)
    rows: list[list[str]] = []
    room = desk.budget.characters
    is_whole = True
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(source, text)):
            if not any(map(str.strip, row)):
                continue
            if room <= 0:
                is_whole = False
                break
            is_whole = is_whole and len(row) <= _MOST_COLUMNS
            rows.append(row[:_MOST_COLUMNS])
            room -= sum(map(len, row)) + 3 * len(row) + 2
    except csv.Error:
        raise CorruptFile("This table is damaged.") from None
    if not rows:
        raise CorruptFile("This table is empty.")
    reading = of_text(table(rows))
    reading.is_truncated = not is_whole
    return reading


def _delimiter(source: Source, text: str) -> str:
    if source.name.lower().endswith((".tsv", ".tab")):
        return "\t"
    lines = [line for line in text[:_SAMPLE].split("\n")[:20] if line.strip()]
    # What stands in every line, and there most often; a comma where nothing does.
    counts = {mark: min((line.count(mark) for line in lines), default=0) for mark in ",;\t|"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ","
