"""A long text is cut at a line, in the units in which clients count."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chuk.media.cutting import cut_at_line, utf16_units


def test_what_fits_stays_as_it_is() -> None:
    assert cut_at_line("one\ntwo\n", 8) == ("one\ntwo\n", False)


def test_the_cut_is_after_a_line() -> None:
    assert cut_at_line("one\ntwo\nthree", 9) == ("one\ntwo", True)


def test_what_is_outside_of_unicodes_first_plane_counts_two() -> None:
    assert utf16_units("a🦓") == 3
    assert cut_at_line("🦓" * 10, 20) == ("🦓" * 10, False)
    assert cut_at_line("🦓" * 10, 19) == ("🦓" * 9, True)


def test_a_code_block_that_is_cut_open_is_closed() -> None:
    text = "# Code\n\n````python\n" + "x = '```'\n" * 100 + "````\n"
    cut, is_cut = cut_at_line(text, 100)
    assert is_cut
    assert cut.endswith("x = '```'\n````")
    assert utf16_units(cut) <= 100


def test_a_line_longer_than_all_that_is_allowed_is_cut_within() -> None:
    cut, is_cut = cut_at_line("```json\n" + "1, " * 100 + "\n```", 100)
    assert is_cut
    assert cut.startswith("```json\n1, 1, 1") and cut.endswith("1\n```")
    assert 90 < utf16_units(cut) <= 100


def test_a_fence_longer_than_all_that_is_allowed_makes_no_text_too_long() -> None:
    cut, is_cut = cut_at_line("`" * 1000, 100)
    assert is_cut and utf16_units(cut) <= 100


@given(
    st.lists(st.sampled_from(["", "word", "🦓🦓", "```", "~~~~ python", "    ```", "`" * 9])),
    st.integers(24, 90),
)
def test_a_cut_text_is_never_too_long_and_a_part_of_the_whole(lines: list[str], most: int) -> None:
    text = "\n".join(lines)
    cut, is_cut = cut_at_line(text, most)
    assert utf16_units(cut) <= most
    assert is_cut == (utf16_units(text) > most)
    kept = cut.split("\n")
    assert kept[:-1] == text.split("\n")[: len(kept) - 1]
