"""What a client gets is valid Unicode, whatever pieces upstream cuts it into."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.unicode_joiner import UnicodeJoiner

_LONE = "\ufffd"


def joined(pieces: list[str]) -> str:
    """All pieces through one joiner."""
    joiner = UnicodeJoiner()
    return "".join([*map(joiner.push, pieces), joiner.flush()])


def in_halves(text: str) -> str:
    """The text as UTF-16 code units, each a character of its own, as JSON escapes write it."""
    units = text.encode("utf-16-le", "surrogatepass")
    return "".join(
        chr(int.from_bytes(units[index : index + 2], "little")) for index in range(0, len(units), 2)
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.data())
def test_a_text_cut_between_any_two_code_units_comes_out_whole(
    text: str, data: st.DataObject
) -> None:
    units = in_halves(text)
    border = data.draw(st.integers(0, len(units)))
    assert joined([units[:border], units[border:]]) == text
    assert joined(list(units)) == text


@given(st.lists(st.text(alphabet=st.characters())))
def test_whatever_comes_what_goes_out_can_be_encoded(pieces: list[str]) -> None:
    joiner = UnicodeJoiner()
    for piece in pieces:
        joiner.push(piece).encode("utf-8")
    joiner.flush().encode("utf-8")


def test_a_half_without_its_other_is_replaced() -> None:
    assert joined(["a\ud83d", "b"]) == f"a{_LONE}b"
    assert joined(["a\ude42b"]) == f"a{_LONE}b"
    assert joined(["\ud83d", "\ud83d", "\ude42"]) == f"{_LONE}🙂"
    assert joined(["end\ud83d"]) == f"end{_LONE}"


def test_a_waiting_half_holds_nothing_else_back() -> None:
    joiner = UnicodeJoiner()
    assert joiner.push("ready\ud83d") == "ready"
    assert joiner.push("\ude42 and on") == "🙂 and on"
    assert joiner.flush() == ""
