"""Logging: structured, one line each, and nothing that a person said.

Exceptions are logged by their type and their frames only. Their messages may quote what was
being handled (a decoder quotes the text it could not decode), so they are never written.
"""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TextIO, cast

import orjson
import structlog

from chuk.counts import Counts

Report = Callable[[str, BaseException, Mapping[str, object]], object]
"""Takes the part of the server, the exception, and ids that belong to it. Never fails or waits."""

failures = Counts()
"""The exceptions nobody foresaw, by the part of the server they came from."""

_reports: list[Report] = []


def configure(*, level: str, json: bool, for_good: bool = False) -> None:
    """Set up structlog, and put the standard library's loggers behind the same renderer.

    Args:
        for_good: nobody will configure again: each logger is put together once, not at each line.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_dumps)
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=for_good,
    )
    handler = _LibraryHandler()
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # Else Python prints warnings as they are, with the header or the name that was at fault.
    warnings.showwarning = _log_warning


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry the part of the server they come from."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(part=name))


def log_failure(part: str, error: BaseException, **facts: object) -> None:
    """Log an exception nobody foresaw: its type and where it happened, never its message."""
    failures.add(part)
    logger(part).error("failure", error=type(error).__name__, frames=frames(error), **facts)
    for report in _reports:
        report(part, error, facts)


def report_failures(report: Report) -> Callable[[], None]:
    """Tell somebody else of each failure too; returns what ends that."""
    _reports.append(report)
    return lambda: _reports.remove(report)


def frames(error: BaseException) -> list[str]:
    """Where an exception passed, innermost last: `module:line function`."""
    return [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-8:]
    ]


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    where = f"{filename.rpartition('site-packages/')[2]}:{lineno}"
    logger("library").warning("library", library="warnings", text=category.__name__, at=where)


def _dumps(value: Any, **_: Any) -> str:
    return orjson.dumps(value, default=str).decode()


class _LibraryHandler(logging.Handler):
    """Lines of libraries, without arguments or exception texts, which may quote a request."""

    def emit(self, record: logging.LogRecord) -> None:
        # asyncio writes the exception of a lost task into its text, from the second line on.
        text = str(record.msg).partition("\n")[0]
        facts: dict[str, object] = {"library": record.name, "text": text}
        if record.exc_info and record.exc_info[1]:
            facts["error"] = type(record.exc_info[1]).__name__
            facts["frames"] = frames(record.exc_info[1])
        logger("library").log(record.levelno, "library", **facts)
