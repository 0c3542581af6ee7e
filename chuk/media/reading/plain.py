"""Text, source code and JSON."""

from __future__ import annotations

import json

from chuk.errors import CorruptFile
from chuk.media.formats import Format
from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.markdown import fence
from chuk.media.reading.source import Reading, Source, of_text

# Where a fence is not called what the name ends in.
_LANGUAGES = {
    "py": "python", "pyi": "python", "pyw": "python", "js": "javascript", "mjs": "javascript",
    "cjs": "javascript", "ts": "typescript", "mts": "typescript", "rs": "rust", "rb": "ruby",
    "kt": "kotlin", "kts": "kotlin", "cs": "csharp", "hpp": "cpp", "hh": "cpp", "cc": "cpp",
    "cxx": "cpp", "h": "c", "sh": "bash", "yml": "yaml", "hs": "haskell", "pl": "perl",
    "ps1": "powershell", "ex": "elixir", "exs": "elixir", "erl": "erlang", "tf": "hcl",
    "mk": "makefile", "bat": "batch", "patch": "diff",
}  # fmt: skip
_WORTH_INDENTING = 1_000_000


def read(source: Source, desk: Desk) -> Reading:
    """Text as it is, the others in a fence."""
    text = decode(source.data)
    if not text.strip():
        raise CorruptFile("This file is empty.")
    if source.format is Format.TEXT:
        return of_text(text)
    desk_text = text[: desk.budget.characters + 1]
    if source.format is Format.JSON:
        is_whole = len(desk_text) == len(text)
        return of_text(fence(_indented(text) if is_whole else desk_text, "json"))
    return of_text(fence(desk_text, _language(source.name)))


def _language(name: str) -> str:
    start, dot, ending = name.lower().rpartition(".")
    word = ending if dot and start else name.lower().rpartition("/")[2]
    word = _LANGUAGES.get(word, word)
    return word if word.isalnum() and word.isascii() else ""


def _indented(text: str) -> str:
    """JSON that stands on one line, on many; all else as it is."""
    if "\n" in text.strip() or len(text) > _WORTH_INDENTING:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    # Not whole, or deeper than can be walked: it is text all the same.
    except (ValueError, RecursionError):
        return text
