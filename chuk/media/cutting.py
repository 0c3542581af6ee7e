"""Bounds of a Markdown text, in the units that clients count in."""

from __future__ import annotations

MOST_UNITS = 160_000
"""UTF-16 units of one answer; the released app throws away what is beyond."""


def utf16_units(text: str) -> int:
    """How long a text is for JavaScript and Dart: what is outside the first plane counts 2."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_at_line(text: str, most: int = MOST_UNITS) -> tuple[str, bool]:
    """The text within `most` UTF-16 units, cut after a line, and whether it was cut.

    A code block that is cut open is closed, so that what follows in a prompt is not taken for code.
    Where the last line is most of what is allowed, as JSON on one line is, the cut is within it,
    after a whole character.
    """
    if utf16_units(text) <= most:
        return text, False
    kept = _prefix(text, most)
    closing = _closing(kept, most)
    kept = _prefix(kept, most - len(closing))
    line_end = kept.rfind("\n")
    if line_end * 2 >= len(kept):
        kept = kept[:line_end]
        closing = _closing(kept, most)
    return kept.rstrip() + closing, True


def _prefix(text: str, most: int) -> str:
    """The longest prefix of whole characters."""
    raw = text.encode("utf-16-le", "surrogatepass")[: most * 2]
    return raw.decode("utf-16-le", "ignore")


def _closing(text: str, most: int) -> str:
    """What closes the block in which the text ends; nothing where that would be half of it all."""
    fence = _open_fence(text)
    return f"\n{fence}" if fence and len(fence) < most // 2 else ""


def _open_fence(text: str) -> str:
    """The fence that closes the block in which the text ends; empty outside of blocks."""
    fence = ""
    for line in text.split("\n"):
        mark = line.lstrip(" ")
        if len(line) - len(mark) > 3 or mark[:3] not in ("```", "~~~"):
            continue
        run = len(mark) - len(mark.lstrip(mark[0]))
        if not fence:
            fence = mark[0] * run
        elif mark[0] == fence[0] and run >= len(fence) and not mark[run:].strip():
            fence = ""
    return fence
