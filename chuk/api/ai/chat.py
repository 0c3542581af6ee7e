"""`POST /v1/ai/chat`: one turn, streamed as server-sent events."""

from __future__ import annotations

from aiohttp import web

from chuk.api.ai.commands import chat_command
from chuk.api.keys import TURNS
from chuk.chat.command import ChatCommand
from chuk.settings import Settings
from chuk.web.bodies import read_form
from chuk.web.envelope import request_profile
from chuk.web.keys import CONNECTIONS, PRINCIPAL, SETTINGS
from chuk.web.streams import SseSubscriber
from chuk.web.validation import typed

_IMAGE_PARTS = ("images", "images[]")
_NUMBERS = frozenset({"max_tokens", "temperature"})
_BOOLEANS = frozenset({"allow_provider_fallbacks"})
_JSON = frozenset({"history", "metadata"})


async def chat(request: web.Request) -> web.StreamResponse:
    """Start a turn and stay its subscriber until it ends.

    The turn does not belong to this handler: when the client leaves, the handler is cancelled,
    the turn loses its subscriber, and its books are still settled.
    """
    services = request.config_dict
    settings = services[SETTINGS]
    command = await _command(request, settings)
    with services[CONNECTIONS].open(request.transport) as connection:
        subscriber = SseSubscriber(
            request,
            connection,
            profile=request_profile(request),
            ping_interval=settings.chat.ping_interval,
        )
        turn = services[TURNS].start(request[PRINCIPAL], command, subscriber)
        # Its pictures may be megabytes; they are not kept while the answer comes.
        del command
        try:
            await turn.finished()
        finally:
            turn.leave(subscriber)
            subscriber.close()
    if subscriber.refusal is not None:
        raise subscriber.refusal
    return subscriber.response


async def _command(request: web.Request, settings: Settings) -> ChatCommand:
    """What the body asks for, in whichever form it came."""
    form = await read_form(
        request,
        max_bytes=settings.chat.message_max_bytes,
        timeout=settings.server.body_timeout,
        files=_IMAGE_PARTS,
    )
    values = typed(form, numbers=_NUMBERS, booleans=_BOOLEANS, json=_JSON)
    uploads = [content for name in _IMAGE_PARTS for content in form.files.get(name, ())]
    if not form.is_typed:
        values.pop("images", None)
    return await chat_command(values, settings.chat, uploads)
