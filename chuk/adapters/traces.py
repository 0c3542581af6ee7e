"""Traces by OpenTelemetry: a span a request, a turn, an attempt; sent in batches by a thread.

What cannot be sent is dropped: a collector that is away costs nothing but its traces. Where a
request says that it belongs to somebody else's trace, that is not believed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode

from chuk import __version__
from chuk.logs import logger
from chuk.spans import Fact

_log = logger("telemetry")

_LONGEST_FACT = 256
_MOST_WAITING = 2_048
_BATCH = 256
_INTERVAL = 2_000  # milliseconds between batches
_PATIENCE = 5.0
_LAST_WORDS = 1.0
_COMPLAINT_INTERVAL = 60.0
_KINDS = {"request": SpanKind.SERVER, "attempt": SpanKind.CLIENT}
# What has a name that everybody uses (https://opentelemetry.io/docs/specs/semconv).
_NAMES = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "code": "error.type",
}


class Traces:
    """See `chuk.spans.Spans`.

    Args:
        url: of the collector, its path included.
        authorization: the header's value; empty: there is none.
        share: of the requests, that are traced.
        environment: which server this is, for whoever has several.
    """

    def __init__(
        self, url: str, *, authorization: str = "", share: float = 1.0, environment: str
    ) -> None:
        self._provider = TracerProvider(
            # Not the one that the library makes: it has the command line and the host's name.
            resource=Resource(
                {
                    "service.name": "chuk",
                    "service.version": __version__,
                    "deployment.environment.name": environment,
                }
            ),
            sampler=ParentBased(TraceIdRatioBased(share)),
            span_limits=SpanLimits(max_span_attribute_length=_LONGEST_FACT),
            shutdown_on_exit=False,
        )
        self._exporter = _Exporter(
            endpoint=url,
            headers={"Authorization": authorization} if authorization else {},
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_MOST_WAITING,
                max_export_batch_size=_BATCH,
                schedule_delay_millis=_INTERVAL,
            )
        )
        self._tracer = self._provider.get_tracer("chuk", __version__)

    def span(self, name: str, **facts: Fact) -> _OpenSpan:
        """See `Spans.span`."""
        return _OpenSpan(self._tracer, name, facts)

    @property
    def lost(self) -> int:
        """Spans that the collector did not take."""
        return self._exporter.lost

    async def close(self) -> None:
        """Send what is there, if that takes no longer than a moment."""
        ending = asyncio.create_task(asyncio.to_thread(self._provider.shutdown))
        await asyncio.wait([ending], timeout=_LAST_WORDS)
        # What is still being tried again is given up.
        self._exporter.shutdown()
        await ending


class _Exporter(OTLPSpanExporter):
    """Sends batches. What is lost is counted, and said once a minute."""

    def __init__(self, *, endpoint: str, headers: dict[str, str]) -> None:
        super().__init__(
            endpoint=endpoint, headers=headers, timeout=_PATIENCE, compression=Compression.Gzip
        )
        self.lost = 0
        self._is_closed = False
        self._complained_at = float("-inf")
        # It would say the same about every batch, in other words.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send some spans; called by the thread that does nothing else."""
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
            now = time.monotonic()
            if now - self._complained_at >= _COMPLAINT_INTERVAL:
                self._complained_at = now
                _log.warning("traces_lost", lost=self.lost)
        return result

    def shutdown(self) -> None:
        """Send no more, and give up what is being tried. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            super().shutdown()  # type: ignore[no-untyped-call]


class _OpenSpan:
    """One span, open while the block runs. What is raised in it is not looked at."""

    __slots__ = ("_facts", "_name", "_span", "_token", "_tracer")

    def __init__(self, tracer: trace.Tracer, name: str, facts: dict[str, Fact]) -> None:
        self._tracer, self._name, self._facts = tracer, name, facts

    def __enter__(self) -> Self:
        self._span = self._tracer.start_span(
            self._name,
            kind=_KINDS.get(self._name, SpanKind.INTERNAL),
            attributes={_named(name): fact for name, fact in self._facts.items()},
        )
        self._token: Token[Context] = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        stack: TracebackType | None,
    ) -> None:
        context.detach(self._token)
        self._span.end()

    def note(self, **facts: Fact) -> None:
        """See `Span.note`."""
        for name, fact in facts.items():
            self._span.set_attribute(_named(name), fact)

    def fail(self, code: str) -> None:
        """See `Span.fail`."""
        self._span.set_attribute(_named("code"), code)
        self._span.set_status(Status(StatusCode.ERROR))


def _named(name: str) -> str:
    return _NAMES.get(name, f"chuk.{name}")
