"""`GET /v1/ai/chat/ws`: turns side by side over one lasting WebSocket."""

from __future__ import annotations

from aiohttp import web

from chuk.api.ai.socket_session import SocketSession
from chuk.api.keys import CATALOG, STREAMS, TURNS
from chuk.api.once import keyed_turns
from chuk.errors import Forbidden, InvalidRequest
from chuk.logs import logger
from chuk.web.cors import may_connect
from chuk.web.envelope import request_profile
from chuk.web.keys import (
    ADDRESSES,
    AUTH_FAILURE,
    CONNECTIONS,
    LOCKED_ACCOUNTS,
    PRINCIPAL,
    RATE_LIMITS,
    SETTINGS,
    SOCKETS,
    VERIFIER,
)

# A little above the largest message, so that one slightly over it gets an error event; aiohttp
# closes with 1009 beyond this.
_SLACK = 1_000_000
# Written to the transport before its readiness is asked for.
_MOST_UNSENT = 65_536


async def chat_socket(request: web.Request) -> web.StreamResponse:
    """Accept the socket and serve its messages until either side closes it."""
    services = request.config_dict
    settings = services[SETTINGS]
    if not may_connect(request, settings.server.cors_origins, settings.server.public_url):
        raise Forbidden("This origin may not connect.")
    # Without compression: deflate costs 90 KB a socket and helps short events nothing.
    socket = web.WebSocketResponse(
        compress=False,
        heartbeat=settings.chat.socket_ping_interval,
        max_msg_size=settings.chat.message_max_bytes + _SLACK,
        decode_text=False,
        writer_limit=_MOST_UNSENT,
    )
    if not socket.can_prepare(request):
        raise InvalidRequest("This address speaks WebSocket only.")
    principal, address = request.get(PRINCIPAL), services[ADDRESSES].of(request)
    holder = address if principal is None else str(principal.user_id)
    services[SOCKETS].check(holder)
    await socket.prepare(request)
    # They are sent; a kilobyte of them would stay with each idle socket.
    socket.headers.clear()
    with services[CONNECTIONS].open(request.transport) as connection:
        session = SocketSession(
            socket,
            connection,
            profile=request_profile(request),
            principal=principal,
            auth_failure=request.get(AUTH_FAILURE),
            address=address,
            limits=settings.chat,
            catalog=services[CATALOG],
            turns=services[TURNS],
            streams=services[STREAMS],
            keyed_turns=keyed_turns(services),
            verifier=services[VERIFIER],
            rate_limits=services[RATE_LIMITS],
            locks=services[LOCKED_ACCOUNTS],
            sockets=services[SOCKETS],
        )
        services[SOCKETS].add(session, holder)
        try:
            async for message in socket:
                await session.receive(message)
        except ConnectionError:
            logger("socket").info("client left")
        finally:
            services[SOCKETS].discard(session)
            session.leave()
    return socket
