"""A turn's events as bytes, and back.

Neither a piece of an answer (the inside of a JSON string) nor JSON itself ever holds a raw control
character, so a NUL can stand between events and a line feed between pieces. An event is the name
of its class, a line feed, and its pieces or its fields as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, get_args, get_type_hints

import orjson

from chuk.chat.events import Content, Failed, Reasoning, ToolCalls, TurnEvent
from chuk.errors import ChukError

BETWEEN_EVENTS = b"\x00"
BETWEEN_PIECES = b"\n"


class UnreadableEvents(Exception):
    """Bytes that are none of ours, or of another version of this code."""


def encode(events: Iterable[TurnEvent]) -> bytes:
    """Events as bytes, in order.

    Raises:
        TypeError: an error's details are not what JSON is made of.
    """
    return BETWEEN_EVENTS.join(map(encode_event, events))


def decode(data: bytes) -> list[TurnEvent]:
    """What `encode` was given.

    Raises:
        UnreadableEvents: an event or an error of a kind that is not known here, or no events.
    """
    return [decode_event(event) for event in data.split(BETWEEN_EVENTS)]


def encode_event(event: TurnEvent) -> bytes:
    """One event as bytes; see `encode`."""
    kind = type(event)
    if (head := _HEADS_OF_PLAIN.get(kind)) is not None:
        return head + orjson.dumps(event)
    name = NAMES[kind]
    if isinstance(event, (Content, Reasoning)):
        return BETWEEN_PIECES.join((name, *event.pieces))
    if isinstance(event, ToolCalls):
        # Whole JSON, as upstream wrote it: it may hold line feeds.
        return b"%b\n%b" % (name, orjson.dumps([delta.decode() for delta in event.deltas]))
    assert isinstance(event, Failed)
    error = event.error
    facts = [error.code, error.message, error.details, error.headers, type(error).__name__]
    return b"%b\n%b" % (name, orjson.dumps(facts))


def decode_event(data: bytes) -> TurnEvent:
    """One event; see `decode`."""
    name, *pieces = data.split(BETWEEN_PIECES)
    kind = KINDS.get(name)
    if kind is None:
        raise UnreadableEvents("an event of no kind that is known here")
    if kind is Content or kind is Reasoning:
        return kind(pieces)
    try:
        document = orjson.loads(pieces[0])
        if kind is Failed:
            return Failed(_error(*document))
        if kind is ToolCalls:
            return ToolCalls([delta.encode() for delta in document])
        makers = _MAKERS[kind]
        return kind(**{name: makers[name](value) for name, value in document.items()})
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # What it says may be what somebody wrote: it is not repeated.
        raise UnreadableEvents(f"not what a {kind.__name__} is made of") from None


def _error(
    code: str, message: str, details: dict[str, object], headers: dict[str, str], name: str
) -> ChukError:
    # Several may share a code, and yet be shown differently. One of another version of this code
    # that is not known here is shown as what it inherits the code from.
    alike = _errors()[code]
    kind = next((each for each in alike if each.__name__ == name), alike[0])
    # Past its own constructor, whose arguments differ for each: what counts is what clients see.
    error = kind.__new__(kind)
    ChukError.__init__(error, message, details=details, headers=headers)
    return error


def _errors() -> dict[str, list[type[ChukError]]]:
    """The kinds of each code, first the one that gives it its meaning: others only inherit it."""
    found: dict[str, list[type[ChukError]]] = {}

    def add(kind: type[ChukError]) -> None:
        found.setdefault(kind.code, []).append(kind)
        for below in kind.__subclasses__():
            add(below)

    add(ChukError)
    return found


def _maker(hint: Any) -> Callable[[Any], Any]:
    is_enum = isinstance(hint, type) and issubclass(hint, Enum)
    return hint if is_enum else _same


def _same(value: Any) -> Any:
    return value


_EVENTS: Sequence[type[TurnEvent]] = get_args(TurnEvent)
NAMES = {kind: kind.__name__.encode() for kind in _EVENTS}
# Of those that are nothing but their fields.
_HEADS_OF_PLAIN = {
    kind: NAMES[kind] + BETWEEN_PIECES
    for kind in _EVENTS
    if kind not in (Content, Reasoning, ToolCalls, Failed)
}
KINDS = {name: kind for kind, name in NAMES.items()}
_MAKERS = {
    kind: {field.name: _maker(get_type_hints(kind)[field.name]) for field in fields(kind)}
    for kind in _EVENTS
}
