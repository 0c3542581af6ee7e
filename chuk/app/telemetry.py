"""What is told outside of traces and failures: nothing, unless the settings name an address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chuk.logs import report_failures
from chuk.settings import Settings, SettingsError
from chuk.spans import NO_SPANS, Spans

_EXTRA = "needs the extra `telemetry`: pip install 'chuk[telemetry]'"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What the application needs of it.

    Attributes:
        spans: who is told of requests, turns and attempts.
        lost: how many spans were not taken; None: there are none.
        start: begins to report failures.
        close: sends what is left, and ends.
    """

    spans: Spans
    lost: Callable[[], int] | None
    start: Callable[[], None]
    close: Callable[[], Awaitable[None]]


def make_telemetry(settings: Settings) -> Telemetry:
    """Put together what the settings name.

    Raises:
        SettingsError: a library is not installed, or the address for reports is none.
    """
    telemetry = settings.telemetry
    spans: Spans = NO_SPANS
    lost: Callable[[], int] | None = None
    starts: list[Callable[[], None]] = []
    ends: list[Callable[[], None]] = []
    closes: list[Callable[[], Awaitable[None]]] = []
    if telemetry.traces_url:
        try:
            from chuk.adapters.traces import Traces  # noqa: PLC0415
        except ImportError:
            raise SettingsError("CHUK_TRACES_URL", _EXTRA, "the settings") from None
        traces = Traces(
            telemetry.traces_url,
            authorization=telemetry.traces_authorization,
            share=telemetry.traces_share,
            environment=telemetry.environment,
        )
        spans, lost = traces, lambda: traces.lost
        closes.append(traces.close)
    if telemetry.sentry_dsn:
        try:
            from chuk.adapters.failure_reports import (  # noqa: PLC0415
                FailureReports,
                ReportAddressError,
            )
        except ImportError:
            raise SettingsError("SENTRY_DSN", _EXTRA, "the settings") from None
        try:
            reports = FailureReports(telemetry.sentry_dsn, environment=telemetry.environment)
        except ReportAddressError:
            raise SettingsError("SENTRY_DSN", "not an address of Sentry", "the settings") from None
        starts.append(lambda: ends.append(report_failures(reports.report)))
        closes.append(reports.close)

    def start() -> None:
        for each in starts:
            each()

    async def close() -> None:
        while ends:
            ends.pop()()
        for each in closes:
            await each()

    return Telemetry(spans, lost, start, close)
