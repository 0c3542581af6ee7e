"""Recognises the chunks of a stream that differ only in their piece of text.

Within one stream nearly every chunk is the same JSON but for `delta.content`. Once such a chunk
has been parsed in full, the bytes around its text are known to mean "this much content and
nothing else", so the next chunk with the very same bytes around another text needs no parsing:
its text is cut out as the JSON string it already is. Whatever differs is parsed.
"""

from __future__ import annotations

import orjson

from chuk.chat.sse_parser import EventStreamParser


class CompletionTemplate:
    """What surrounds the text in the chunks of one stream."""

    __slots__ = ("_head", "_tail")

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail

    @classmethod
    def learn(cls, event: bytes, key: bytes, text: str) -> CompletionTemplate | None:
        """Take the template from an event whose only news is `text`, under `key`.

        None where the text cannot be found again without doubt, for one because upstream
        escapes it differently from us.
        """
        literal = orjson.dumps(text)
        for written in (b'"%b":%b' % (key, literal), b'"%b": %b' % (key, literal)):
            if event.count(written) == 1:
                end = event.index(written) + len(written)
                # With the quotes, so that nothing but the inside of a string can fit between.
                return cls(event[: end - len(literal) + 1], event[end - 1 :])
        return None

    def take(self, parser: EventStreamParser) -> list[bytes]:
        """Take the texts of the next events that fit, as JSON strings; none if one is doubtful."""
        insides, length = parser.run(self._head, self._tail)
        # An empty one says nothing, and a client is told nothing of it.
        if not insides or b"" in insides or not _are_strings(insides):
            return []
        parser.skip(length)
        return [b'"%b"' % inside for inside in insides]


def _are_strings(insides: list[bytes]) -> bool:
    """Whether each of these, put between quotes, is one JSON string of valid Unicode."""
    joined = b"".join(insides)
    try:
        # JSON allows no raw control characters; what is printable has none.
        is_printable = joined.decode("utf-8").isprintable()
    except UnicodeDecodeError:
        return False
    if not is_printable:
        return _parse(insides)
    if b"\\" in joined or b'"' in joined:
        return _parse([inside for inside in insides if b"\\" in inside or b'"' in inside])
    return True


def _parse(insides: list[bytes]) -> bool:
    try:
        return all(isinstance(orjson.loads(b'"%b"' % inside), str) for inside in insides)
    except orjson.JSONDecodeError:
        return False
