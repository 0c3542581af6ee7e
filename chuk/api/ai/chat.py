"""`POST /v1/ai/chat`: one turn, streamed as server-sent events."""

from __future__ import annotations

from aiohttp import web

from chuk.api.ai.commands import read_chat_command
from chuk.api.keys import TURNS
from chuk.web.envelope import request_profile
from chuk.web.keys import CONNECTIONS, PRINCIPAL, SETTINGS
from chuk.web.streams import SseSubscriber


async def chat(request: web.Request) -> web.StreamResponse:
    """Start a turn and stay its subscriber until it ends.

    The turn does not belong to this handler: when the client leaves, the handler is cancelled,
    the turn loses its subscriber, and its books are still settled.
    """
    services = request.config_dict
    settings = services[SETTINGS]
    command = await read_chat_command(request)
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
