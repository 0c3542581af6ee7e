"""The order in which lines on a page are read."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

_FEWEST_IN_COLUMN = 3
# A column of prose is filled by its lines; one of a table is not.
_FILLED = 0.55
_NARROWEST = 0.28
_PARAGRAPH_GAP = 0.9
_MOST_CUTS = 8


class Box(NamedTuple):
    """Some words and where they stand, in pixels from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float
    text: str

    @property
    def height(self) -> float:
        """Of its letters, roughly."""
        return self.bottom - self.top


def in_reading_order(boxes: Sequence[Box]) -> str:
    """The words in lines, columns one after the other, an empty line between paragraphs."""
    return "\n\n".join(block for block in _blocks(list(boxes)) if block)


def _blocks(boxes: list[Box]) -> list[str]:
    """The page cut at its gaps: upright ones between columns first, then level ones."""
    if not boxes:
        return []
    gap = _gutter(boxes)
    if gap is not None:
        left = [box for box in boxes if box.right <= gap]
        right = [box for box in boxes if box.right > gap]
        return [*_blocks(left), *_blocks(right)]
    halves = _halves(boxes)
    if halves is not None and _has_columns(halves):
        return [text for half in halves for text in _blocks(half)]
    return _paragraphs(boxes)


def _gutter(boxes: list[Box]) -> float | None:
    """Where two columns of prose are apart; None: they are not."""
    begin, end = min(box.left for box in boxes), max(box.right for box in boxes)
    letter = median(box.height for box in boxes)
    reached = begin
    for box in sorted(boxes, key=lambda box: box.left):
        if box.left - reached > letter * 0.5:
            middle = (box.left + reached) / 2
            sides = (
                [one for one in boxes if one.right <= middle],
                [one for one in boxes if one.right > middle],
            )
            if all(_is_column(side, end - begin) for side in sides):
                return middle
        reached = max(reached, box.right)
    return None


def _is_column(boxes: list[Box], page: float) -> bool:
    if len(boxes) < _FEWEST_IN_COLUMN:
        return False
    width = max(box.right for box in boxes) - min(box.left for box in boxes)
    typical = median(box.right - box.left for box in boxes)
    return width >= page * _NARROWEST and typical >= width * _FILLED


def _halves(boxes: list[Box]) -> tuple[list[Box], list[Box]] | None:
    """What stands above and below the widest level gap; None where there is none."""
    ordered = sorted(boxes, key=lambda box: box.top)
    widest, at, reached = 0.0, 0, ordered[0].bottom
    for number, box in enumerate(ordered[1:], 1):
        if box.top - reached > widest:
            widest, at = box.top - reached, number
        reached = max(reached, box.bottom)
    return (ordered[:at], ordered[at:]) if at else None


def _has_columns(halves: tuple[list[Box], list[Box]], cuts: int = _MOST_CUTS) -> bool:
    """Whether cutting there, and there again, uncovers columns somewhere."""
    for half in halves:
        if _gutter(half) is not None:
            return True
        smaller = _halves(half) if cuts else None
        if smaller is not None and _has_columns(smaller, cuts - 1):
            return True
    return False


def _paragraphs(boxes: list[Box]) -> list[str]:
    lines: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box.top + box.bottom):
        middle = (box.top + box.bottom) / 2
        if lines and middle < median(one.bottom for one in lines[-1]) - 0.2 * box.height:
            lines[-1].append(box)
        else:
            lines.append([box])
    paragraphs: list[list[str]] = []
    bottom = float("-inf")
    for line in lines:
        top, height = min(box.top for box in line), median(box.height for box in line)
        if not paragraphs or top - bottom > height * _PARAGRAPH_GAP:
            paragraphs.append([])
        words = " ".join(box.text for box in sorted(line, key=lambda box: box.left))
        paragraphs[-1].append(words)
        bottom = max(box.bottom for box in line)
    return ["\n".join(lines) for lines in paragraphs]
