"""What is counted of requests, once each: how many there are, how they end, how long they take."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from aiohttp import hdrs

from chuk.counts import OTHER, Counts, Spreads
from chuk.spans import NO_SPANS, Spans

DURATION_BOUNDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
NO_ROUTE = "none"
_METHODS = frozenset(hdrs.METH_ALL)
_SERVER_ERROR = 500


class RequestMeter:
    """Counts every request of this process.

    Args:
        spans: who is told of each.

    Attributes:
        open: requests that are being answered; a stream is, and so is a WebSocket.
        answered: by route, method and status.
        durations: in seconds, by route, method and the status's first digit (`2xx`).
    """

    def __init__(self, spans: Spans = NO_SPANS) -> None:
        self.open = 0
        self.answered = Counts()
        self.durations = Spreads(DURATION_BOUNDS)
        self.spans = spans

    def request(self, method: str, route: str | None, request_id: str) -> _Measured:
        """Count one from here to the block's end. `route` is its template, never its path."""
        # What stands there instead of a method may be any word.
        known = method if method in _METHODS else OTHER
        return _Measured(self, known, route or NO_ROUTE, request_id)


class _Measured:
    """One request."""

    __slots__ = ("_meter", "_method", "_open", "_route", "_span")

    def __init__(self, meter: RequestMeter, method: str, route: str, request_id: str) -> None:
        self._meter, self._method, self._route = meter, method, route
        self._open = meter.spans.span("request", method=method, route=route, request=request_id)

    def __enter__(self) -> Self:
        self._meter.open += 1
        self._span = self._open.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._meter.open -= 1
        self._open.__exit__(kind, error, trace)

    def end(self, status: int, seconds: float) -> None:
        """Say what became of it."""
        meter, method, route = self._meter, self._method, self._route
        meter.answered.add(route, method, str(status))
        meter.durations.note(seconds, route, method, f"{status // 100}xx")
        self._span.note(status=status)
        if status >= _SERVER_ERROR:
            self._span.fail(str(status))
