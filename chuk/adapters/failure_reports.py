"""Reports of failures for Sentry: which exception, and where in the code; sent by a thread.

A report is put together here and has nothing else in it: no message, no values of variables, no
line of a file, no request, no user, no machine's name. What cannot be sent is dropped.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping
from typing import Any, cast

from sentry_sdk import Client
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn

from chuk import __version__

IDS = ("id", "stream", "hold", "generation")
"""The facts of a failure that name something of ours, and nobody."""

_MOST_FRAMES = 50
_PATIENCE = 3.0
_PARTS_OF_AN_EVENT = {
    *("event_id", "timestamp", "platform", "level", "logger", "release", "environment"),
    *("exception", "tags"),
}


class ReportAddressError(Exception):
    """The address for reports is none that Sentry gives out."""


class FailureReports:
    """Takes failures; `report` can be given to `chuk.logs.report_failures`.

    Args:
        dsn: where reports go.
        environment: which server this is, for whoever has several.

    Raises:
        ReportAddressError: the address is none.
    """

    def __init__(self, dsn: str, *, environment: str) -> None:
        try:
            self._client = Client(
                dsn=dsn,
                release=f"chuk@{__version__}",
                environment=environment,
                server_name="",
                # Nothing is looked for by itself: no logs, no requests, no arguments.
                default_integrations=False,
                auto_enabling_integrations=False,
                include_local_variables=False,
                include_source_context=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
                before_send=_only_ours,
                shutdown_timeout=_PATIENCE,
            )
        except BadDsn:
            raise ReportAddressError from None

    def report(self, part: str, error: BaseException, facts: Mapping[str, object]) -> None:
        """Send a report, later and elsewhere."""
        self._client.capture_event(_event(part, error, facts))

    async def close(self) -> None:
        """Send what is there, if that takes no longer than a few seconds."""
        await asyncio.to_thread(self._client.close, timeout=_PATIENCE)


def _event(part: str, error: BaseException, facts: Mapping[str, object]) -> Event:
    frames = [
        {
            "filename": frame.filename.rpartition("site-packages/")[2],
            "function": frame.name,
            "lineno": frame.lineno,
        }
        for frame in traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    ]
    kind = type(error)
    exception = {
        "type": kind.__name__,
        "module": kind.__module__,
        "value": "",
        "stacktrace": {"frames": frames},
    }
    tags = {name: str(facts[name]) for name in IDS if name in facts}
    return cast(
        Event,
        {
            "level": "error",
            "logger": part,
            "exception": {"values": [exception]},
            "tags": {"part": part, **tags},
        },
    )


def _only_ours(event: Event, _hint: Hint) -> Event:
    """Take out whatever the library has put in besides."""
    whole = cast(dict[str, Any], event)
    return cast(Event, {name: whole[name] for name in whole.keys() & _PARTS_OF_AN_EVENT})
