"""Valid Unicode out of whatever pieces upstream cuts a text into."""

from __future__ import annotations


class UnicodeJoiner:
    """Joins a surrogate pair that was split over two pieces; replaces a half without its other.

    JSON may escape a character outside the basic plane as two halves, and an upstream that cuts
    between them sends each in a chunk of its own. Python keeps such a half as a lone surrogate,
    which cannot be encoded as UTF-8.
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        """Return what can be said now; a trailing first half waits for its other."""
        text = self._held + text
        self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held, text = text[-1], text[:-1]
        return _valid(text)

    def flush(self) -> str:
        """Return what is still held, at the end of the text."""
        held, self._held = self._held, ""
        return _valid(held)


def _valid(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
