"""Jupyter's notebooks: cells and what came of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from chuk.errors import CorruptFile
from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.html import markdown_of
from chuk.media.reading.markdown import fence
from chuk.media.reading.source import Reading, Source, of_text

_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\[\d{1,2}(?:;\d{1,2})*m")


def read(source: Source, desk: Desk) -> Reading:
    """Texts as they are, code and outputs in fences, tables as tables."""
    try:
        notebook = json.loads(decode(source.data))
    except (ValueError, RecursionError):
        raise CorruptFile("This notebook is damaged.") from None
    if not isinstance(notebook, dict):
        raise CorruptFile("This is no notebook.")
    language = _text(_dig(notebook, "metadata", "kernelspec", "language")) or _text(
        _dig(notebook, "metadata", "language_info", "name")
    )
    language = language if re.fullmatch(r"[A-Za-z0-9+#_-]{1,30}", language) else "python"
    pieces: list[str] = []
    room = desk.budget.characters
    for cell in _cells(notebook):
        if room <= 0:
            break
        new = [piece for piece in _cell(cell, language) if piece.strip()]
        room -= sum(map(len, new))
        pieces += new
    reading = of_text("\n\n".join(pieces))
    reading.is_truncated = room <= 0
    return reading


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    # Before version 4 they were in worksheets.
    sheets = _objects(notebook.get("worksheets")) or [notebook]
    for sheet in sheets:
        yield from _objects(sheet.get("cells"))


def _cell(cell: dict[str, Any], language: str) -> Iterator[str]:
    kind = cell.get("cell_type")
    text = _text(cell.get("source", cell.get("input")))
    if kind == "markdown":
        yield text
    elif kind == "heading":
        level = cell.get("level")
        yield f"{'#' * (level if isinstance(level, int) and 1 <= level <= 6 else 1)} {text}"
    elif text.strip():
        yield fence(text, language if kind == "code" else "")
    for output in _objects(cell.get("outputs")):
        yield _output(output)


def _output(output: dict[str, Any]) -> str:
    kind = output.get("output_type")
    if kind == "stream":
        return _block(_text(output.get("text")))
    if kind in ("error", "pyerr"):
        return _block("\n".join(map(_text, _list(output.get("traceback")))))
    # Before version 4 without the word that says what it is.
    data = output.get("data", output)
    if not isinstance(data, dict):
        return ""
    if markdown := _text(data.get("text/markdown")):
        return markdown
    page = _text(data.get("text/html", data.get("html")))
    if "<table" in page.lower():
        return markdown_of(page)
    if words := _text(data.get("text/plain", data.get("text"))):
        return _block(words)
    return markdown_of(page) if page else ""


def _block(text: str) -> str:
    text = _COLOURS.sub("", text)
    return fence(text) if text.strip() else ""


def _text(value: Any) -> str:
    """A text, which may be told in lines."""
    if isinstance(value, list):
        return "".join(line for line in value if isinstance(line, str))
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _dig(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
