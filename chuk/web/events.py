"""Turn events as the JSON that clients read (contract §6)."""

from __future__ import annotations

import orjson

from chuk.chat.events import (
    Content,
    Failed,
    Meta,
    Reasoning,
    Speed,
    Started,
    ToolCalls,
    TurnEvent,
    Usage,
)
from chuk.credits.money import euros
from chuk.web.envelope import Profile, error_event


def event_json(event: TurnEvent, profile: Profile) -> list[bytes]:
    """The JSON of one event, without framing; pieces make several.

    `Done` has none: each transport ends in its own way. Nor has `ToolCalls`: these clients offer
    no tools.
    """
    if isinstance(event, Content):
        return [b'{"content":"%b"}' % piece for piece in event.pieces]
    if isinstance(event, Reasoning):
        return [b'{"reasoning":"%b"}' % piece for piece in event.pieces]
    if isinstance(event, ToolCalls):
        return []
    if isinstance(event, Failed):
        return [error_event(profile, event.error)]
    return [orjson.dumps(_document(event))]


def _document(event: TurnEvent) -> dict[str, object]:
    match event:
        case Started(stream_id=stream_id):
            return {"stream": {"id": stream_id}}
        case Meta():
            meta = {
                "model": event.model,
                "provider": event.provider,
                "free_message": event.free_message,
            }
            return {"meta": meta}
        case Speed():
            return {"tps": round(event.tokens_per_second, 2)}
        case Usage():
            return {"usage": _usage(event)}
        case _:
            raise TypeError(type(event).__name__)


def _usage(event: Usage) -> dict[str, object]:
    usage: dict[str, object] = {
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
        "total_tokens": event.total_tokens,
        "cost_eur": euros(event.cost),
        "held_eur": euros(event.held),
        "cost_basis": event.basis,
        "provider": event.provider,
        "zdr": event.is_zdr,
        "free_message": event.is_free_message,
        "finish_reason": event.finish_reason,
    }
    if event.estimated:
        usage["estimated"] = True
    return usage
