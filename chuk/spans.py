"""What is told of work while it goes on, to whoever follows it from outside; to nobody, as a rule.

    with spans.span("turn", stream=stream_id) as span:
        ...
        span.note(outcome="completed")

A span lies inside the one that is open around it, in the same task or the one that began it. Only
ids, names of routes, providers and models, codes and numbers are ever told, and nothing that
anybody wrote.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

Fact = str | int | float | bool


class Span(Protocol):
    """One piece of work, from its beginning to its end."""

    def note(self, **facts: Fact) -> None:
        """Say more of it."""
        ...

    def fail(self, code: str) -> None:
        """It has failed; `code` is the error's, as clients know it."""
        ...


class Spans(Protocol):
    """Takes down what is done, and never fails."""

    def span(self, name: str, **facts: Fact) -> AbstractContextManager[Span]:
        """A span that lasts as long as the block."""
        ...


class _NoSpan:
    """Nobody follows."""

    def __enter__(self) -> _NoSpan:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def note(self, **facts: Fact) -> None:
        """See `Span.note`."""

    def fail(self, code: str) -> None:
        """See `Span.fail`."""


class _NoSpans:
    """Nobody follows."""

    def __init__(self) -> None:
        self._span = _NoSpan()

    def span(self, name: str, **facts: Fact) -> _NoSpan:
        """See `Spans.span`."""
        return self._span


NO_SPANS = _NoSpans()
