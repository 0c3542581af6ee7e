"""`POST /v1/chat/completions`: one turn, in OpenAI's shape, streamed or as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from chuk.api.keys import CATALOG, TURNS
from chuk.api.once import REPLAYED, idempotency_key, keyed_turns
from chuk.api.openai.chat_schema import DEFAULT_MAX_TOKENS, ChatCompletionRequest
from chuk.api.openai.messages import read_messages
from chuk.catalog.models import Model
from chuk.chat.command import ChatCommand, Extras
from chuk.chat.events import Done
from chuk.chat.generation import Generation
from chuk.chat.ports import Subscriber
from chuk.errors import InvalidRequest
from chuk.web.bodies import parse_json_object, read_body
from chuk.web.completion_frames import CompletionChunks, WholeCompletion
from chuk.web.envelope import render_data
from chuk.web.keys import CONNECTIONS, PRINCIPAL, SETTINGS
from chuk.web.validation import checked

ENDPOINT = "chat/completions"
"""What a key stands for here, streamed or not."""

_REQUEST = ChatCompletionRequest()
_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")


async def chat_completions(request: web.Request) -> web.StreamResponse:
    """Run one turn for an OpenAI client.

    Such a client knows no way back to an answer, and leaving is its way to stop one: the turn
    ends at once with its client, and what it took until then is paid. Only with an
    `Idempotency-Key` it can come back, and then the turn goes on.
    """
    key = idempotency_key(request)
    fields = await _fields(request)
    model = request.config_dict[CATALOG].model(fields["model"])
    command = await _command(request, fields, model)
    if fields["stream"]:
        return await _streamed(request, command, key)
    answer, headers = WholeCompletion(model.id), dict[str, str]()
    await _run(request, command, answer, key, lambda _: headers.update(REPLAYED))
    if answer.failure is not None:
        if answer.is_charged:
            # These clients would ask, and pay, again by themselves.
            answer.failure.headers["x-should-retry"] = "false"
        raise answer.failure
    return render_data(request, answer.answer(), headers=headers)


async def _streamed(
    request: web.Request, command: ChatCommand, key: str | None
) -> web.StreamResponse:
    services = request.config_dict
    with services[CONNECTIONS].open(request.transport) as connection:
        chunks = CompletionChunks(
            request,
            connection,
            command.model_id,
            ping_interval=services[SETTINGS].chat.ping_interval,
        )
        try:
            await _run(
                request, command, chunks, key, lambda _: chunks.response.headers.update(REPLAYED)
            )
        finally:
            chunks.close()
    if chunks.refusal is not None:
        raise chunks.refusal
    return chunks.response


async def _run(
    request: web.Request,
    command: ChatCommand,
    subscriber: Subscriber,
    key: str | None,
    on_repeat: Callable[[str], None],
) -> None:
    services = request.config_dict
    turn: Generation | None = None
    try:
        if key is None:
            turn = services[TURNS].start(request[PRINCIPAL], command, subscriber, is_lasting=False)
        else:
            turn = await keyed_turns(services).start(
                request[PRINCIPAL],
                command,
                subscriber,
                key=key,
                endpoint=ENDPOINT,
                on_repeat=on_repeat,
            )
        # Its pictures may be megabytes; they are not kept while the answer comes.
        del command
        if turn is not None:
            await turn.finished()
    finally:
        if turn is not None:
            turn.leave(subscriber)
            if key is None:
                turn.stop(Done())


async def _fields(request: web.Request) -> dict[str, Any]:
    settings = request.config_dict[SETTINGS]
    raw = await read_body(
        request,
        max_bytes=settings.chat.message_max_bytes,
        timeout=settings.server.body_timeout,
    )
    return checked(_REQUEST, parse_json_object(raw))


async def _command(request: web.Request, fields: dict[str, Any], model: Model) -> ChatCommand:
    """The command of a request.

    Raises:
        InvalidRequest: a message is malformed, or asks for what the model cannot.
        FileTooLarge, UnsupportedFormat: of its pictures.
    """
    limit = request.config_dict[SETTINGS].chat.image_max_bytes
    messages = await read_messages(fields["messages"], image_max_bytes=limit)
    slug, others = _provider(fields["provider"], model)
    # Our own chat drops the pictures of earlier turns; here nobody would know.
    if not model.supports_vision and any(message.images for message in messages):
        raise InvalidRequest.field("messages", "This model cannot see images.")
    return ChatCommand(
        model_id=model.id,
        messages=messages,
        provider_slug=slug,
        max_tokens=(fields["max_completion_tokens"] or fields["max_tokens"] or DEFAULT_MAX_TOKENS),
        temperature=fields["temperature"],
        reasoning_effort=fields["reasoning_effort"],
        allow_provider_fallbacks=others,
        tags=fields["metadata"] or {},
        extras=_extras(fields),
    )


def _provider(choice: tuple[tuple[str, ...], bool] | None, model: Model) -> tuple[str | None, bool]:
    """The first of those wished for that offers the model, and whether others may step in."""
    order, others = choice or ((), False)
    offering = {provider.slug for provider in model.providers}
    found = next((slug for slug in order if slug in offering), None)
    if found is None and order and not others:
        # It is refused by this name.
        found = order[0]
    return found, others


def _extras(fields: dict[str, Any]) -> Extras:
    has_tools = bool(fields["tools"])
    known = {name: fields[name] if has_tools else None for name in _TOOL_FIELDS}
    form = fields["response_format"]
    if form is not None and form["type"] == "text":
        # So it is anyway.
        form = None
    return Extras(
        top_p=fields["top_p"],
        seed=fields["seed"],
        frequency_penalty=fields["frequency_penalty"],
        presence_penalty=fields["presence_penalty"],
        stop=fields["stop"] or (),
        tools=_json("tools", known["tools"]),
        tool_choice=_json("tool_choice", known["tool_choice"]),
        parallel_tool_calls=known["parallel_tool_calls"],
        response_format=_json("response_format", form),
        has_schema=form is not None and form["type"] == "json_schema",
        takes_empty=True,
    )


def _json(name: str, value: Any) -> bytes | None:
    try:
        return None if value is None else orjson.dumps(value)
    except orjson.JSONEncodeError:
        # More can be read than can be written.
        raise InvalidRequest.field(name, "Is nested too deeply.") from None
