"""A turn's events come out of their log as they went in, from any number on."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.event_codec import decode, encode_event
from chuk.chat.event_log import EventLog, Place, Reading
from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Meta,
    Reasoning,
    Speed,
    Started,
    ToolCalls,
    TurnEvent,
    count_events,
)
from chuk.errors import ProviderError

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
_PIECES = st.lists(_TEXTS.map(lambda text: orjson.dumps(text)[1:-1]), min_size=1, max_size=4)
_READS = st.lists(
    st.one_of(
        _PIECES.map(lambda pieces: [Content(pieces)]),
        _PIECES.map(lambda pieces: [Reasoning(pieces), Content(pieces)]),
        st.just([Meta("model", "provider", free_message=False)]),
    ),
    max_size=8,
)
_ENDS = st.sampled_from([[Speed(1.0), Done()], [Failed(ProviderError())], []])


def singly(events: Sequence[TurnEvent]) -> list[TurnEvent]:
    """Each piece as an event of its own."""
    single: list[TurnEvent] = []
    for event in events:
        if isinstance(event, (Content, Reasoning)):
            single += [type(event)([piece]) for piece in event.pieces]
        else:
            single.append(event)
    return single


def as_bytes(numbered: Sequence[tuple[int, TurnEvent]]) -> list[tuple[int, bytes]]:
    """The same, to be compared: two errors that say the same are not equal."""
    return [(number, encode_event(event)) for number, event in numbered]


def taken_singly(taken: bytes) -> list[TurnEvent]:
    """What was taken, each piece as an event of its own."""
    return singly(decode(taken)) if taken else []


def read_all(reading: Reading) -> list[tuple[int, TurnEvent]]:
    """All that is there, each event with its number."""
    found: list[tuple[int, TurnEvent]] = []
    while (kept := reading.read()) is not None:
        first, events = kept
        found += list(enumerate(singly(events), first))
    return found


@given(_READS, _ENDS, st.integers(0, 40), st.integers(0, 8))
def test_whatever_is_read_whenever_is_what_was_kept(
    reads: list[list[TurnEvent]], end: list[TurnEvent], after: int, begins: int
) -> None:
    log, everything = EventLog(), list[TurnEvent]()
    reading: Reading | None = None
    found: list[tuple[int, TurnEvent]] = []
    told: list[list[TurnEvent]] = [[Started("stream")], *reads, *([end] if end else [])]
    for number, events in enumerate(told):
        if number == begins:
            reading = Reading(log, after)
        log.append(events)
        everything += singly(events)
        if reading is not None and number % 2:
            found += read_all(reading)
    found += read_all(reading or Reading(log, after))
    expected = list(enumerate(everything, 1))
    rest = expected[after:]
    assert as_bytes(found) == as_bytes(rest or (expected[-1:] if end else []))
    assert log.last_number == len(everything) == count_events(everything)
    assert log.end is (end[-1] if end else None)


def test_a_long_answer_is_read_in_parts() -> None:
    log = EventLog()
    pieces = [b"%d" % number for number in range(20_000)]
    log.append([Content(pieces)])
    log.append([Content([b"x" * 50_000]), Done()])
    reading, parts = Reading(log, 0), list[list[bytes]]()
    while (kept := reading.read()) is not None:
        parts += [event.pieces for event in kept[1] if isinstance(event, Content)]
    assert len(parts) > 5
    assert [piece for part in parts for piece in part] == [*pieces, b"x" * 50_000]


def test_a_token_takes_little_more_than_its_own_bytes() -> None:
    log = EventLog()
    before = log.size
    for _ in range(1_000):
        log.append([Content([b"token"])])
    assert log.size - before <= 1_000 * 6 + 200


def test_calls_of_tools_have_no_number_of_their_own() -> None:
    log = EventLog()
    calls = ToolCalls([b"[1]", b"[2]"])
    log.append([Started("stream"), Content([b"a"]), calls, Content([b"b"]), Done()])
    whole = [Started("stream"), Content([b"a"]), calls, Content([b"b"]), Done()]
    assert Reading(log, 0).read() == (1, whole)
    assert Reading(log, 2).read() == (3, whole[2:])
    assert Reading(log, 3).read() == (4, whole[4:])


def test_calls_of_tools_take_what_they_take_and_are_read_in_parts() -> None:
    log = EventLog()
    calls = [ToolCalls([b"x" * 1_000] * 10) for _ in range(20)]
    for call in calls:
        log.append([call])
    assert log.size >= 200_000
    reading, parts = Reading(log, 0), list[list[TurnEvent]]()
    while (kept := reading.read()) is not None:
        parts.append(list(kept[1]))
    assert len(parts) == 10
    assert [event for part in parts for event in part] == calls


def test_what_was_cleared_is_not_read_any_more() -> None:
    log = EventLog()
    log.append([Started("stream"), Content([b"a", b"b"])])
    reading = Reading(log, 0)
    log.clear()
    assert reading.read() is None


@given(_READS, _ENDS, st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 40))
def test_whatever_is_taken_as_it_is_is_what_was_kept(
    reads: list[list[TurnEvent]], end: list[TurnEvent], sizes: list[int], number: int
) -> None:
    log, everything = EventLog(), list[TurnEvent]()
    place, found = Place(log), list[TurnEvent]()
    told: list[list[TurnEvent]] = [[Started("stream")], *reads, *([end] if end else [])]
    for turn, events in enumerate(told):
        log.append(events)
        everything += singly(events)
        taken, after = place.take(sizes[turn % len(sizes)])
        assert place.take(sizes[turn % len(sizes)])[0] == taken
        found += taken_singly(taken)
        place = after
        assert place.following == len(found) + 1
    while taken := place.take(sizes[0])[0]:
        found += taken_singly(taken)
        place = place.take(sizes[0])[1]
    assert [*map(encode_event, found)] == [*map(encode_event, everything)]
    if number <= log.last_number:
        again, _ = place.before(number).take(1_000_000)
        left = everything[number - 1 :]
        assert [*map(encode_event, taken_singly(again))] == [*map(encode_event, left)]


def test_a_place_before_what_is_still_to_come_takes_it_when_it_has_come() -> None:
    log = EventLog()
    log.append([Started("stream"), Content([b"a", b"b"])])
    place = Place(log).before(4)
    assert place.take(1_000)[0] == b""
    log.append([Content([b"c"])])
    assert decode(place.take(1_000)[0]) == [Content([b"c"])]


def test_calls_of_tools_are_taken_with_what_follows_them_however_large_they_are() -> None:
    log = EventLog()
    calls = [ToolCalls([b"x" * 1_000] * 10) for _ in range(20)]
    log.append([Started("stream"), *calls])
    taken, place = Place(log).take(1_000)
    assert decode(taken) == [Started("stream")]
    assert place.take(1_000)[0] == b""
    log.append([Done()])
    assert decode(Place(log).take(1_000)[0]) == [Started("stream")]
    taken, end = place.take(1_000)
    assert decode(taken) == [*calls, Done()]
    assert end.following == 3
    assert end.before(2).take(1_000)[0] == taken
