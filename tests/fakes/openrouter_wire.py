"""What the stand-in for OpenRouter refuses, whom it lets serve, and the events it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.openrouter_models import FakeEndpoint, FakeModel
from tests.fakes.openrouter_replies import (
    Fault,
    Generation,
    RecordedRequest,
    Reply,
    count_tokens,
    has_images,
    prompt_text,
    usual_answer,
)


class Refused(Exception):
    """A request that ends in a JSON error."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "code": status, **more}}


async def misbehave(
    request: web.Request, fault: Fault, record: RecordedRequest, release: asyncio.Event
) -> web.StreamResponse:
    """Answer a catalogue route with its fault."""
    if fault.hang:
        await release.wait()
    if not fault.endless:
        return web.Response(
            status=fault.status,
            body=fault.body,
            content_type="application/json",
            headers=dict(fault.headers),
        )
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"data": "')
    while not release.is_set():
        await response.write(b"x" * 2**20)
        record.pieces_sent += 1
    return response


def known_model(models: Sequence[FakeModel], model_id: str) -> FakeModel:
    """The model with this id."""
    for model in models:
        if model.id == model_id:
            return model
    raise Refused(404, f"No endpoints found for {model_id}.")


def route(models: Sequence[FakeModel], body: Any) -> tuple[FakeModel, FakeEndpoint]:
    """Who serves this completion, or why nobody does."""
    if not isinstance(body, dict) or not body.get("messages"):
        raise Refused(400, "Input required: specify 'prompt' or 'messages'")
    if body.get("stream") is not True:
        raise Refused(400, "This stand-in only streams")
    model = known_model(models, str(body.get("model")))
    if has_images(body["messages"]) and "image" not in model.input_modalities:
        raise Refused(404, "No endpoints found that support image input")
    endpoint = choose(model, body.get("provider") or {})
    if body.get("tools") and "tools" in endpoint.lacks:
        raise Refused(404, "No endpoints found that support tool use.")
    asked = count_tokens(prompt_text(body["messages"])) + int(body.get("max_tokens") or 0)
    if asked > endpoint.context_length:
        raise Refused(
            400,
            f"This endpoint's maximum context length is {endpoint.context_length} tokens. "
            f"However, you requested about {asked} tokens. Please reduce the length.",
            metadata={"provider_name": None},
        )
    return model, endpoint


def opened(number: int, body: Any, model: FakeModel, endpoint: FakeEndpoint) -> Generation:
    """The record of a completion that begins now."""
    prompt_tokens = count_tokens(prompt_text(body["messages"]))
    return Generation(
        id=f"gen-1745875945-{number:020d}",
        model=model.id,
        provider_name=endpoint.provider_name,
        prompt_tokens=prompt_tokens,
        cost=endpoint.cost(prompt_tokens, 0),
    )


def choose(model: FakeModel, routing: Mapping[str, Any]) -> FakeEndpoint:
    """The endpoint that serves, by the rules of the `provider` object."""

    def named(endpoint: FakeEndpoint, names: Any) -> bool:
        return endpoint.tag in names or endpoint.provider_slug in names

    left = list(model.endpoints)
    if routing.get("zdr"):
        left = [endpoint for endpoint in left if endpoint.zdr]
    if routing.get("data_collection") == "deny":
        left = [endpoint for endpoint in left if not endpoint.trains_on_prompts]
    if not left:
        raise Refused(404, "No endpoints found matching your data policy (Zero data retention).")
    left = [endpoint for endpoint in left if not named(endpoint, routing.get("ignore") or ())]
    if routing.get("only"):
        left = [endpoint for endpoint in left if named(endpoint, routing["only"])]
    order = list(routing.get("order") or ())
    if order and routing.get("allow_fallbacks") is False:
        left = [endpoint for endpoint in left if named(endpoint, order)]
    if not left:
        raise Refused(404, f"No endpoints found for {model.id}.")

    def rank(endpoint: FakeEndpoint) -> tuple[int, float]:
        places = [place for place, name in enumerate(order) if named(endpoint, (name,))]
        return (places[0] if places else len(order), float(endpoint.prompt))

    return min(left, key=rank)


def pieces(body: Any, reply: Reply, generation: Generation) -> Iterator[bytes]:
    """The pieces of an answer, ready to write."""
    if reply.raw is not None:
        yield from reply.raw
        return
    limit = body.get("max_tokens")
    for text in reply.reasoning:
        yield frame(generation, {"role": "assistant", "content": "", reply.reasoning_field: text})
    content = reply.content
    if content is None and reply.tool_calls:
        content = ()
    if content is None:
        content = usual_answer(prompt_text(body["messages"]))
        if limit is not None and len(content) > limit:
            content = content[:limit]
            generation.finish_reason = "length"
    for text in content:
        yield frame(generation, {"role": "assistant", "content": text})
    for calls in reply.tool_calls:
        generation.finish_reason = "tool_calls"
        yield frame(generation, {"role": "assistant", "content": None, "tool_calls": calls})


def frame(
    generation: Generation,
    delta: Mapping[str, Any],
    finish_reason: str | None = None,
    **more: Any,
) -> bytes:
    choice = {
        "index": 0,
        "delta": delta,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "logprobs": None,
    }
    return event({**head(generation), "choices": [choice], **more})


def head(generation: Generation) -> dict[str, Any]:
    return {
        "id": generation.id,
        "provider": generation.provider_name,
        "model": generation.model,
        "object": "chat.completion.chunk",
        "created": 1_745_875_945,
    }


def event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


def ending(reply: Reply, generation: Generation) -> Iterator[bytes]:
    """What follows the last piece."""
    if reply.stream_error is not None:
        generation.finish_reason = "error"
        yield frame(generation, {"content": ""}, "error", error=dict(reply.stream_error))
        return
    if reply.finish_reason is None:
        generation.finish_reason = None
    else:
        generation.finish_reason = generation.finish_reason or reply.finish_reason
    usage = generation.usage() if reply.usage is None else dict(reply.usage)
    last: dict[str, Any] = {"role": "assistant", "content": ""}
    if reply.usage_with_finish and usage:
        yield frame(generation, last, generation.finish_reason, usage=usage)
    else:
        if generation.finish_reason is not None:
            yield frame(generation, last, generation.finish_reason)
        if usage:
            yield event({**head(generation), "choices": [], "usage": usage})
    if reply.done:
        yield b"data: [DONE]\n\n"
