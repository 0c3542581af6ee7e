"""Builds the bytes of completion streams, and reads the events that come of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from chuk.adapters.completion_stream import CompletionStream
from chuk.chat.command import CompletionRequest, Message
from chuk.chat.events import Content, Reasoning, UpstreamEvent
from chuk.chat.ports import Upstream

DONE = b"data: [DONE]\n\n"


def a_request(**fields: Any) -> CompletionRequest:
    """A request as a turn would make it."""
    usual: dict[str, Any] = {
        "model_id": "qwen/qwen3-32b",
        "messages": (Message("user", "Hello"),),
        "providers": ("groq",),
        "max_tokens": 100,
        "temperature": 0.5,
    }
    return CompletionRequest(**{**usual, **fields})


def event(document: object) -> bytes:
    """One event with this JSON."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def chunk(finish_reason: str | None = None, **delta: object) -> bytes:
    """One completion chunk with this delta."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event({"id": "gen-1", "provider": "Groq", "choices": [choice]})


def read(*chunks: bytes) -> tuple[CompletionStream, list[UpstreamEvent]]:
    """The stream after these reads, and all its events."""
    stream = CompletionStream(a_request().model_id)
    events = [found for data in chunks for found in stream.feed(data)]
    return stream, [*events, *stream.finish()]


def text_of(
    events: Iterable[UpstreamEvent], kind: type[Content] | type[Reasoning] = Content
) -> str:
    """What the events of one kind say, joined."""
    return "".join(pieces_of(events, kind))


def pieces_of(
    events: Iterable[UpstreamEvent], kind: type[Content] | type[Reasoning] = Content
) -> list[str]:
    """The pieces of one kind; each must be the inside of a JSON text that is not empty."""
    pieces = [
        json.loads(b'"%b"' % piece)
        for found in events
        if isinstance(found, kind)
        for piece in found.pieces
    ]
    assert all(isinstance(piece, str) and piece for piece in pieces)
    for piece in pieces:
        piece.encode("utf-8")
    return pieces


def of_kind(events: Sequence[UpstreamEvent], kind: type[Any]) -> list[Any]:
    """The events of one kind."""
    return [found for found in events if isinstance(found, kind)]


async def completed(
    upstream: Upstream, into: list[UpstreamEvent] | None = None, **fields: Any
) -> list[UpstreamEvent]:
    """All events of one completion; those before an error are in `into`."""
    events = [] if into is None else into
    await upstream.complete(a_request(**fields), events.extend)
    return events
