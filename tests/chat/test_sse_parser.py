"""An event stream gives the same events wherever it is cut, and costs bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.sse_parser import EventStreamParser, EventTooLarge, data_of


def events_of(parser: EventStreamParser, chunk: bytes) -> list[bytes]:
    """The events that this chunk completes, as raw lines."""
    parser.push(chunk)
    events = []
    while (event := parser.next_event()) is not None:
        events.append(event)
    return events


def payloads(chunks: Iterable[bytes]) -> list[bytes]:
    """The data of all events of a stream that arrives in these chunks."""
    parser = EventStreamParser()
    events = [event for chunk in chunks for event in events_of(parser, chunk)]
    return [data for event in events if (data := data_of(event)) is not None]


def cut(stream: bytes, borders: Iterable[int]) -> list[bytes]:
    """The stream in pieces; a border given twice makes an empty one."""
    inner = sorted(min(border, len(stream)) for border in borders)
    return [stream[start:end] for start, end in pairwise([0, *inner, len(stream)])]


@dataclass(frozen=True)
class Event:
    """Lines without their ends, and the data that they mean (None: none)."""

    lines: Sequence[bytes]
    data: bytes | None


_TEXT = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("ab :€漢🙂\ufeff\x0b\x85\u2028")),
        st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"),
    ),
    max_size=12,
).map(str.encode)
_OTHER_LINES = st.one_of(
    _TEXT.map(b":".__add__),
    _TEXT.map(b"id: ".__add__),
    st.sampled_from([b"event: message", b"retry: 10", b"unknown", b"database: no", b"event"]),
)


@st.composite
def _events(draw: st.DrawFn) -> Event:
    lines: list[bytes] = []
    data: list[bytes] = []
    for text in draw(st.lists(_TEXT, max_size=3)):
        lines += draw(st.lists(_OTHER_LINES, max_size=2))
        lines.append(draw(st.sampled_from([b"data: ", b"data:"])) + text)
        # Only one space after the colon belongs to the syntax.
        data.append(lines[-1].removeprefix(b"data:").removeprefix(b" "))
    lines += draw(st.lists(_OTHER_LINES, max_size=2))
    return Event(lines or [b": nothing"], b"\n".join(data) or None)


_LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def _streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A whole stream, and the data of its events."""
    stream = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    expected: list[bytes] = []
    for event in draw(st.lists(_events(), max_size=6)):
        stream += b"".join(line + draw(_LINE_ENDS) for line in event.lines)
        for _ in range(draw(st.integers(1, 3))):
            # A lone CR before an LF would be read as one line end.
            stream += b"\n" if not stream.endswith(b"\r") else b"\r"
        if event.data is not None:
            expected.append(event.data)
    return stream, expected


@given(_streams(), st.data())
def test_events_do_not_depend_on_where_the_stream_is_cut(
    stream_and_data: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    stream, expected = stream_and_data
    borders = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    assert payloads([stream]) == expected
    assert payloads(cut(stream, borders)) == expected
    assert payloads([stream[index : index + 1] for index in range(len(stream))]) == expected


@given(st.binary(), st.lists(st.integers(0, 64), max_size=8))
def test_noise_is_read_the_same_way_however_it_is_cut(noise: bytes, borders: list[int]) -> None:
    assert payloads(cut(noise, borders)) == payloads([noise])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_lines_may_end_in_three_ways(end: bytes) -> None:
    stream = b"data: one" + end + b"data: two" + end + end + b"data: three" + end + end
    assert payloads([stream]) == [b"one\ntwo", b"three"]


def test_a_line_end_split_over_two_chunks_is_one_line_end() -> None:
    assert payloads([b"data: one\r", b"\ndata: two\r", b"\n\r", b"\n"]) == [b"one\ntwo"]


def test_a_carriage_return_ends_its_event_without_the_next_chunk() -> None:
    assert payloads([b"data: one\r\r"]) == [b"one"]


def test_comments_and_other_fields_give_no_event() -> None:
    stream = b": OPENROUTER PROCESSING\n\nevent: ping\nid: 1\nretry: 3\n\ndata: x\n\n"
    assert payloads([stream]) == [b"x"]


@pytest.mark.parametrize("empty", [b"\n", b"data\n\n", b"data:\n\n", b"data: \n\n", b"\n\n\n"])
def test_an_event_without_data_is_none(empty: bytes) -> None:
    assert payloads([empty + b"data: x\n\n" + empty]) == [b"x"]


def test_only_the_first_space_after_the_colon_is_syntax() -> None:
    assert payloads([b"data:  x \n\ndata:y\n\n"]) == [b" x ", b"y"]


def test_a_byte_order_mark_is_passed_over_only_at_the_start() -> None:
    mark = b"\xef\xbb\xbf"
    assert payloads([mark[:1], mark[1:2], mark[2:] + b"data: a\n\n"]) == [b"a"]
    assert payloads([b"data: " + mark + b"\n\n"]) == [mark]


def test_a_character_split_over_chunks_arrives_whole() -> None:
    stream = "data: 漢🙂\n\n".encode()
    for border in range(len(stream)):
        assert payloads([stream[:border], stream[border:]]) == ["漢🙂".encode()]


def test_one_event_may_come_in_many_chunks_and_many_events_in_one() -> None:
    long = b"x" * 10_000
    stream = b"data: " + long + b"\n\n"
    assert payloads(cut(stream, range(0, len(stream), 7))) == [long]
    assert payloads([stream * 5]) == [long] * 5


def test_an_event_counts_only_once_its_blank_line_is_there() -> None:
    assert payloads([b"data: a\n\ndata: b\n"]) == [b"a"]


def test_an_event_that_never_ends_is_refused() -> None:
    parser = EventStreamParser(max_event_bytes=1_000)
    assert events_of(parser, b"data: a\n\ndata: " + b"x" * 900) == [b"data: a"]
    with pytest.raises(EventTooLarge):
        events_of(parser, b"x" * 100)


def test_many_events_in_one_chunk_are_not_one_large_event() -> None:
    parser = EventStreamParser(max_event_bytes=100)
    assert len(events_of(parser, b"data: x\n\n" * 1_000)) == 1_000
