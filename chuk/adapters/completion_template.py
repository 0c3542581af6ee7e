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

    __slots__ = ("_ending", "_head", "_literal", "_tail")

    def __init__(self, head: bytes, tail: bytes) -> None:
        self._head = head
        self._tail = tail
        self._ending = tail + b"\n\n"
        # The text with the quotes around it, of which head and tail have one each.
        self._literal = slice(len(head) - 1, 1 - len(self._ending))

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

    def text_of(self, read: bytes) -> bytes | None:
        """The text of a read that is just one such event; None where it is anything else.

        Paced by a model, nearly every read is one.
        """
        if not read.startswith(self._head) or not read.endswith(self._ending):
            return None
        literal = read[self._literal]
        try:
            # Whatever follows the event's own string, or breaks it, is no JSON here.
            return literal[1:-1] if orjson.loads(literal) else None
        except orjson.JSONDecodeError:
            return None

    def take(self, parser: EventStreamParser) -> list[bytes]:
        """Take the texts of the next events that fit, as insides of JSON strings.

        None if one is doubtful, or empty: an empty one says nothing, and a client is told
        nothing of it.
        """
        insides, length = parser.run(self._head, self._tail)
        if not insides or not all(insides) or not _are_strings(insides):
            return []
        parser.skip(length)
        return insides


def _are_strings(insides: list[bytes]) -> bool:
    """Whether each of these, put between quotes, is one JSON string of valid Unicode."""
    array = b'["%b"]' % b'","'.join(insides)
    try:
        if b'\\","' in array or array.endswith(b'\\"]'):
            # One ends with a backslash, which may be half of an escape: it could hide the quote
            # that follows, so that two pieces would pass for one string.
            return all(isinstance(orjson.loads(b'"%b"' % inside), str) for inside in insides)
        # Otherwise a quote inside a piece can only make more strings, or something else than a
        # string, or no JSON at all.
        strings = orjson.loads(array)
        return len(strings) == len(insides) and set(map(type, strings)) == {str}
    except orjson.JSONDecodeError:
        return False
