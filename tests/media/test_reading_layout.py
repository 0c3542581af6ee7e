"""The order in which recognised lines are read."""

from __future__ import annotations

import random

from chuk.media.reading.layout import Box, in_reading_order


def line(text: str, left: float, top: float, width: float = 400) -> Box:
    """A line of letters thirty pixels high."""
    return Box(left, top, left + width, top + 30, text)


def shuffled(*boxes: Box) -> list[Box]:
    """In no order, for recognisers promise none."""
    mixed = list(boxes)
    random.Random(1).shuffle(mixed)
    return mixed


def test_no_lines_are_no_text() -> None:
    assert in_reading_order([]) == ""


def test_lines_come_from_top_to_bottom_with_gaps_between_paragraphs() -> None:
    boxes = shuffled(line("one", 50, 50), line("two", 50, 90), line("three", 50, 200))
    assert in_reading_order(boxes) == "one\ntwo\n\nthree"


def test_words_at_one_height_are_a_line() -> None:
    boxes = shuffled(line("Total", 50, 52, 100), line("12.00", 600, 50, 90))
    assert in_reading_order(boxes) == "Total 12.00"


def test_columns_of_prose_come_one_after_the_other_under_their_title() -> None:
    rows = [
        line(f"{side}{n}", left, 200 + 40 * n)
        for side, left in (("l", 50), ("r", 520))
        for n in range(4)
    ]
    assert in_reading_order(shuffled(line("Title", 50, 50, 870), *rows)) == (
        "Title\n\nl0\nl1\nl2\nl3\n\nr0\nr1\nr2\nr3"
    )


def test_a_bill_is_read_row_by_row() -> None:
    rows = [
        box
        for n, what in enumerate(("Bread", "Milk and cheese", "Tea", "Sugar"))
        for box in (
            line(what, 50, 50 + 40 * n, 20 * len(what)),
            line(f"{n}.00", 800, 50 + 40 * n, 80),
        )
    ]
    assert in_reading_order(shuffled(*rows)) == (
        "Bread 0.00\nMilk and cheese 1.00\nTea 2.00\nSugar 3.00"
    )


def test_a_page_of_thousands_of_words_is_no_trouble() -> None:
    boxes = [line("w", 100 * (n % 20), 40 * (n // 20), 80) for n in range(4_000)]
    assert in_reading_order(shuffled(*boxes)).count("w") == 4_000
