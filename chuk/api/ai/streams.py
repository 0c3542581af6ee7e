"""`/v1/ai/chat/streams`: answers that can be read on after a lost connection."""

from __future__ import annotations

import re
from typing import Any

from aiohttp import hdrs, web
from marshmallow import EXCLUDE, Schema, fields, validate

from chuk.accounts.principal import Scope
from chuk.api.keys import STREAMS
from chuk.chat.ports import StreamFacts, StreamState
from chuk.clock import iso_z
from chuk.errors import (
    ContentFiltered,
    InsufficientCredits,
    InvalidRequest,
    ModelUnavailable,
    NotFound,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
)
from chuk.web.envelope import request_profile
from chuk.web.keys import CONNECTIONS, PRINCIPAL, SETTINGS
from chuk.web.routes import Route
from chuk.web.streams import SseSubscriber
from chuk.web.validation import checked

# Far more events than any answer has, and a number that every store can count with.
MOST_EVENTS = 10**12
_LAST_EVENT_ID = re.compile(r"(?:([0-9A-Za-z_-]+):)?([0-9]{1,12})", re.ASCII)


class ResumeQuery(Schema):
    """From where on; the header `Last-Event-ID` wins."""

    class Meta:
        unknown = EXCLUDE

    after = fields.Int(
        load_default=0,
        validate=validate.Range(min=0, max=MOST_EVENTS),
        metadata={"description": "The number of the last event that arrived; 0: from the start."},
    )


class Stream(Schema):
    """An answer that runs, or that has ended a short while ago."""

    id = fields.Str(required=True)
    model_id = fields.Str(required=True)
    started_at = fields.DateTime(required=True)
    state = fields.Str(required=True, validate=validate.OneOf([each.value for each in StreamState]))
    last_event = fields.Int(
        required=True, metadata={"description": "The number of its newest event."}
    )


class StreamList(Schema):
    """One's own answers, the newest first."""

    streams = fields.List(fields.Nested(Stream), required=True)


class StoppedStream(Schema):
    """An answer that goes on no longer."""

    id = fields.Str(required=True)
    stopped = fields.Bool(required=True)


_QUERY = ResumeQuery()
_NOT_KEPT = {hdrs.CACHE_CONTROL: "no-cache"}


async def resume(request: web.Request) -> web.StreamResponse:
    """Everything after the event named, live while the answer still comes.

    The turn does not belong to this handler: a client that leaves takes away nothing but itself.
    """
    services = request.config_dict
    streams, user_id = services[STREAMS], request[PRINCIPAL].user_id
    stream_id = request.match_info["id"]
    after = _after(request, stream_id)
    await streams.find(user_id, stream_id)
    if request.method == hdrs.METH_HEAD:
        # It may be the answer of a turn that runs for minutes, and none of it is wanted.
        return web.Response(content_type="text/event-stream", headers=_NOT_KEPT)
    with services[CONNECTIONS].open(request.transport) as connection:
        subscriber = SseSubscriber(
            request,
            connection,
            profile=request_profile(request),
            ping_interval=services[SETTINGS].chat.ping_interval,
            stream_id=stream_id,
        )
        try:
            if after > 0:
                await subscriber.begin()
            await streams.resume(user_id, stream_id, after, subscriber)
        finally:
            subscriber.close()
    if subscriber.refusal is not None:
        raise subscriber.refusal
    return subscriber.response


async def stop(request: web.Request) -> dict[str, Any]:
    """Stop an answer; what it has taken by then is settled. Once it is over: nothing happens."""
    stream_id = request.match_info["id"]
    await request.config_dict[STREAMS].stop(request[PRINCIPAL].user_id, stream_id)
    return {"id": stream_id, "stopped": True}


async def list_streams(request: web.Request) -> dict[str, Any]:
    """What there is to come back to."""
    found = await request.config_dict[STREAMS].list(request[PRINCIPAL].user_id)
    return {"streams": [_stream_object(facts) for facts in found]}


def _stream_object(facts: StreamFacts) -> dict[str, Any]:
    return {
        "id": facts.id,
        "model_id": facts.model_id,
        "started_at": iso_z(facts.started_at),
        "state": facts.state.value,
        "last_event": facts.last_event,
    }


def _after(request: web.Request, stream_id: str) -> int:
    """The number of the last event that the client has.

    Raises:
        InvalidRequest: neither a number nor the id of one of this answer's events.
    """
    named = request.headers.get("Last-Event-ID", "").strip()
    if not named:
        number: int = checked(_QUERY, dict(request.query))["after"]
        return number
    match = _LAST_EVENT_ID.fullmatch(named)
    if match is None or match[1] not in (None, stream_id):
        raise InvalidRequest.field("Last-Event-ID", "Is not the id of an event of this answer.")
    return int(match[2])


# A key may go on with what it began, whose name it knows; but what else its owner asks, at
# whichever of their devices, is not for the program that has the key.
STREAM_ROUTES = [
    Route(
        "GET",
        "/chat/streams",
        list_streams,
        "One's own answers that can be read on",
        "chat",
        response=StreamList,
    ),
    Route(
        "GET",
        "/chat/streams/{id}",
        resume,
        "Read an answer on, after an event",
        "chat",
        scope=Scope.CHAT,
        query=ResumeQuery,
        media_type="text/event-stream",
        # All but the first are those of an answer that never began.
        errors=(
            NotFound,
            InsufficientCredits,
            QuotaExceeded,
            ContentFiltered,
            ProviderError,
            ModelUnavailable,
            ProviderTimeout,
        ),
    ),
    Route(
        "DELETE",
        "/chat/streams/{id}",
        stop,
        "Stop an answer",
        "chat",
        scope=Scope.CHAT,
        response=StoppedStream,
        errors=(NotFound,),
    ),
]
