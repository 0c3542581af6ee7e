"""Pieces of Markdown, made so that what stands in a file cannot break out of them."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_FENCES = re.compile(r"^[ \t>]*(`{3,})", re.MULTILINE)
_UNSAFE = r"(?:data|javascript|vbscript)\s*:"
# Of a link or a picture: `](`, the address in angles or with balanced brackets, perhaps a title.
# What is escaped is passed over as one, so that no text is looked through from many beginnings.
_UNSAFE_LINK = re.compile(
    rf"\\.|(!?)\[((?:[^\[\]\\\n]|\\.){{0,2000}})\]\(\s*(?:"
    rf"<\s*{_UNSAFE}[^<>\n]*>(?:[^()\n]|\([^()\n]*\))*\)|"
    rf"{_UNSAFE}(?:\\.|[^()\n\\]|\((?:\\.|[^()\n\\])*\))*\))",
    re.IGNORECASE,
)
_UNSAFE_REFERENCE = re.compile(rf"^ {{0,3}}\[[^\]\n]*\]:\s*<?\s*{_UNSAFE}.*$", re.I | re.M)
# None of these looks past where another could begin: a file full of beginnings takes no longer.
_UNSAFE_AUTOLINK = re.compile(rf"<{_UNSAFE}[^<>\n]*>", re.IGNORECASE)
_HAS_UNSAFE = re.compile(_UNSAFE, re.IGNORECASE)


def fence(code: str, language: str = "") -> str:
    """A code block, its fence longer than any inside."""
    longest = max((len(found) for found in _FENCES.findall(code)), default=2)
    marks = "`" * (longest + 1)
    body = code.strip("\n")
    return f"{marks}{language}\n{body}\n{marks}"


def plain(text: str) -> str:
    """A name or title on one line, without what cannot be seen."""
    return " ".join(_CONTROLS.sub(" ", text).split())


def escaped(text: str) -> str:
    """A name as it stands inside Markdown."""
    return _SPECIAL.sub(r"\\\1", plain(text))


def heading(text: str, level: int = 2) -> str:
    """A heading that is only that."""
    return f"{'#' * level} {escaped(text)}"


def table(rows: list[list[str]]) -> str:
    """A table whose first row is its head; short rows are filled up."""
    width = max(map(len, rows))
    lines = [_row(row, width) for row in rows]
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)


def cell(text: str) -> str:
    """A text within a table: on one line, without a bar of its own."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _row(row: list[str], width: int) -> str:
    filled = [*map(cell, row), *[""] * (width - len(row))]
    return f"| {' | '.join(filled)} |"


def without_unsafe_links(markdown: str) -> str:
    """Links and pictures with their content in the address, and those that are programs, as text.

    Other addresses stay: they are only shown, nobody here follows them.
    """
    if _HAS_UNSAFE.search(markdown) is None:
        return markdown
    markdown = _UNSAFE_LINK.sub(lambda found: found[0] if found[2] is None else found[2], markdown)
    markdown = _UNSAFE_REFERENCE.sub("", markdown)
    return _UNSAFE_AUTOLINK.sub("", markdown)
