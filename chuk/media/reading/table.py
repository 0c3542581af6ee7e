"""Comma-separated values, whatever they are separated by."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter

from chuk.errors import CorruptFile
from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.markdown import table
from chuk.media.reading.source import Reading, Source, of_text

_SAMPLE = 20_000
_MOST_COLUMNS = 500
_LONGEST_FIELD = 1_000_000
# Excel's own first line.
_TOLD = re.compile(r"sep=([,;\t|])\n", re.IGNORECASE)
_MARKS = ",;\t|"


def read(source: Source, desk: Desk) -> Reading:
    """A table, as long as there is room for it."""
    text = decode(source.data)
    told = _TOLD.match(text)
    delimiter = told[1] if told else _delimiter(source, text)
    text = text[told.end() :] if told else text
    csv.field_size_limit(_LONGEST_FIELD)
    rows: list[list[str]] = []
    room = desk.budget.characters
    is_whole = True
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
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
    sample = text[:_SAMPLE]
    if len(sample) < len(text):
        sample = sample[: sample.rfind("\n") + 1] or sample
    return max(_MARKS, key=lambda mark: _regularity(sample, mark))


def _regularity(sample: str, mark: str) -> tuple[int, int]:
    """How many rows have as many fields as most of those with several, and how many that is.

    What stands above a table (a title, an account, a date) is no part of it.
    """
    rows = csv.reader(io.StringIO(sample, newline=""), delimiter=mark)
    widths = Counter(len(row) for row in rows if len(row) > 1)
    width, count = max(widths.items(), key=lambda found: (found[1], found[0]), default=(0, 0))
    return count, width
