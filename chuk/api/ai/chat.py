"""`POST /v1/ai/chat`: one turn, streamed as server-sent events."""

from __future__ import annotations

from aiohttp import web

from chuk.api.ai.commands import read_chat_command
from chuk.api.keys import TURNS
from chuk.api.once import REPLAYED, REPLAYED_HEADER, idempotency_key, keyed_turns
from chuk.chat.generation import Generation
from chuk.web.envelope import request_profile
from chuk.web.keys import CONNECTIONS, PRINCIPAL, SETTINGS
from chuk.web.streams import SseSubscriber

ENDPOINT = "chat"
"""What a key stands for here, over either transport."""


async def chat(request: web.Request) -> web.StreamResponse:
    """Start a turn and stay its subscriber until it ends.

    The turn does not belong to this handler: when the client leaves, the handler is cancelled,
    the turn loses its subscriber, and its books are still settled.
    """
    services = request.config_dict
    settings = services[SETTINGS]
    key = idempotency_key(request)
    command = await read_chat_command(request)
    with services[CONNECTIONS].open(request.transport) as connection:
        subscriber = SseSubscriber(
            request,
            connection,
            profile=request_profile(request),
            ping_interval=settings.chat.ping_interval,
        )
        turn: Generation | None = None
        try:
            if key is None:
                turn = services[TURNS].start(request[PRINCIPAL], command, subscriber)
            else:
                turn = await keyed_turns(services).start(
                    request[PRINCIPAL],
                    command,
                    subscriber,
                    key=key,
                    endpoint=ENDPOINT,
                    on_repeat=lambda _: subscriber.response.headers.update(REPLAYED),
                )
            # Its pictures may be megabytes; they are not kept while the answer comes.
            del command
            if turn is not None:
                subscriber.response.headers.popall(REPLAYED_HEADER, None)
                await turn.finished()
        finally:
            if turn is not None:
                turn.leave(subscriber)
            subscriber.close()
    if subscriber.refusal is not None:
        raise subscriber.refusal
    return subscriber.response
