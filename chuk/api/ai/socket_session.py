"""What one WebSocket does with its messages: turns, resumed ones, cancels, pings, and bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from chuk.accounts.bearers import Bearers, require_scope
from chuk.accounts.locks import LockedAccounts
from chuk.accounts.principal import Principal, Scope
from chuk.api.ai.chat import ENDPOINT
from chuk.api.ai.commands import chat_command
from chuk.api.ai.socket_keyed import KeyedTurn, key_of
from chuk.api.ai.socket_listening import Listening, OwnTurn, Resumed, resume_place
from chuk.api.once import KeyedTurns
from chuk.catalog.service import Catalog
from chuk.chat.streams import Streams
from chuk.chat.turn import Turns
from chuk.errors import (
    ChukError,
    FileTooLarge,
    InternalError,
    InvalidRequest,
    InvalidToken,
    RateLimited,
    ServiceUnavailable,
    TokenExpired,
    Unauthorized,
)
from chuk.logs import log_failure
from chuk.settings import Chat
from chuk.web.bodies import parse_json_object
from chuk.web.connections import Connection
from chuk.web.envelope import Profile
from chuk.web.limits import RateLimits
from chuk.web.open_sockets import OpenSockets
from chuk.web.sockets import MessageId, Outbox, SocketSubscriber, error_frame

_STRIKES = 3
_MAX_ID_LENGTH = 128
_LAST_WORDS = 5.0


class SocketSession:
    """One open socket. Its messages are taken one after the other; its turns run side by side.

    Args:
        principal: from the upgrade's bearer header, if it was good.
        auth_failure: what was wrong with that header, if it was not.
        address: whose bucket failed authentication is counted in.
    """

    __slots__ = (
        "_address",
        "_auth_failure",
        "_catalog",
        "_closing",
        "_keyed_turns",
        "_last_active",
        "_limits",
        "_locks",
        "_opened_at",
        "_outbox",
        "_principal",
        "_profile",
        "_rate_limits",
        "_running",
        "_socket",
        "_sockets",
        "_streams",
        "_strikes",
        "_turns",
        "_verifier",
    )

    def __init__(
        self,
        socket: web.WebSocketResponse,
        connection: Connection,
        *,
        profile: Profile,
        principal: Principal | None,
        auth_failure: Unauthorized | None,
        address: str,
        limits: Chat,
        catalog: Catalog,
        turns: Turns,
        streams: Streams,
        keyed_turns: KeyedTurns,
        verifier: Bearers,
        rate_limits: RateLimits,
        locks: LockedAccounts,
        sockets: OpenSockets,
    ) -> None:
        self._socket = socket
        self._sockets = sockets
        self._outbox = Outbox(socket, connection)
        self._profile = profile
        self._principal = principal
        self._auth_failure = auth_failure
        self._address = address
        self._limits = limits
        self._catalog = catalog
        self._turns = turns
        self._streams = streams
        self._keyed_turns = keyed_turns
        self._verifier = verifier
        self._rate_limits = rate_limits
        self._locks = locks
        self._running: dict[MessageId | None, Listening] = {}
        self._strikes = 0
        self._opened_at = self._last_active = asyncio.get_running_loop().time()
        self._closing: asyncio.Task[None] | None = None

    async def receive(self, message: WSMessage) -> None:
        """Serve one message. What is wrong with it becomes an `error` event."""
        self._last_active = asyncio.get_running_loop().time()
        message_id: MessageId | None = None
        try:
            fields = self._parsed(message)
            message_id = _message_id(fields)
            await self._serve(fields, message_id)
            self._strikes = 0
        except ChukError as error:
            await self._refuse(error, message_id)
        except ConnectionError:
            raise
        except Exception as error:
            log_failure("socket", error)
            await self._refuse(InternalError(), message_id)

    def tick(self, now: float, idle_timeout: float) -> None:
        """Close a socket on which nothing has happened for too long, or nobody signed in."""
        if self._principal is None:
            # Of a stranger no message counts, or pings would hold a connection for ever.
            if now - self._opened_at >= self._limits.socket_sign_in_timeout:
                self.close_soon(WSCloseCode.POLICY_VIOLATION)
        elif self._running:
            self._last_active = now
        elif now - self._last_active >= idle_timeout:
            self.close_soon(WSCloseCode.OK)

    def close_soon(self, code: int) -> asyncio.Task[None]:
        """Begin to close; turns still running get their last event first."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(code))
        return self._closing

    def leave(self) -> None:
        """The socket is gone: its turns lose their subscriber."""
        for listening in tuple(self._running.values()):
            listening.leave()

    def _parsed(self, message: WSMessage) -> dict[str, Any]:
        if message.type is not WSMsgType.TEXT:
            raise _Strike(InvalidRequest("Messages must be text frames of JSON."))
        size = len(message.data)
        if size > self._limits.message_max_bytes:
            raise FileTooLarge(self._limits.message_max_bytes, size)
        try:
            return parse_json_object(message.data)
        except InvalidRequest as error:
            raise _Strike(error) from None

    async def _serve(self, fields: dict[str, Any], message_id: MessageId | None) -> None:
        match fields.get("type"):
            case None | "chat":
                await self._start(fields, message_id)
            case "resume":
                await self._resume(fields, message_id)
            case "cancel":
                await self._cancel(message_id)
            case "ping":
                await self._outbox.send(b'{"type":"pong"}')
            case _:
                raise InvalidRequest.field(
                    "type", "Must be resume, cancel, ping, or absent for a turn."
                )

    async def _start(self, fields: dict[str, Any], message_id: MessageId | None) -> None:
        principal = await self._admitted(fields, message_id, "chat")
        key = key_of(fields, message_id)
        command = await chat_command(fields, self._limits, self._catalog)
        self._check_open()
        subscriber = SocketSubscriber(self._outbox, self._profile, message_id)
        if key is not None:
            self._running[message_id] = KeyedTurn(
                self._keyed_turns,
                principal,
                command,
                subscriber,
                key=key,
                endpoint=ENDPOINT,
                tell=lambda error: self._outbox.put(
                    [error_frame(self._profile, error, message_id)]
                ),
                over=lambda: self._turn_over(message_id),
            )
            return
        turn = self._turns.start(principal, command, subscriber)
        self._running[message_id] = OwnTurn(turn, subscriber)
        turn.when_over(lambda: self._turn_over(message_id))

    async def _resume(self, fields: dict[str, Any], message_id: MessageId | None) -> None:
        principal = await self._admitted(fields, message_id, "other")
        stream_id, after = resume_place(fields)
        self._check_open()
        self._running[message_id] = Resumed(
            self._streams,
            principal.user_id,
            stream_id,
            after,
            SocketSubscriber(self._outbox, self._profile, message_id),
            tell=lambda error: self._outbox.put([error_frame(self._profile, error, message_id)]),
            over=lambda: self._turn_over(message_id),
        )

    async def _admitted(
        self, fields: dict[str, Any], message_id: MessageId | None, bucket: str
    ) -> Principal:
        """Who speaks, where there is room for one more turn and their bucket is not full."""
        principal = await self._authenticated(fields.get("token"))
        if message_id in self._running:
            raise InvalidRequest.field("id", "A turn with this id is still running.")
        if len(self._running) >= self._limits.turns_per_socket:
            raise RateLimited(
                "Too many answers at once on this connection.",
                retry_after=1,
                limit=self._limits.turns_per_socket,
            )
        decision = await self._rate_limits.take(bucket, str(principal.user_id))
        if not decision.allowed:
            raise RateLimited(retry_after=decision.retry_after, limit=decision.limit)
        # Counted before, so that whoever is refused is limited too.
        await self._locks.check(principal.user_id)
        require_scope(principal, Scope.CHAT)
        return principal

    def _check_open(self) -> None:
        if self._closing is not None:
            # It would be cut without a word of its end.
            raise ServiceUnavailable("This connection is closing. Please open a new one.")

    def _turn_over(self, message_id: MessageId | None) -> None:
        self._running.pop(message_id, None)
        self._last_active = asyncio.get_running_loop().time()

    async def _cancel(self, message_id: MessageId | None) -> None:
        """Stop the named turn. Without a name: the nameless one, or the only one there is."""
        if message_id is None and None not in self._running and len(self._running) == 1:
            message_id = next(iter(self._running))
        # A turn that is already over has said so: nothing to do, and nothing wrong.
        if message_id in self._running:
            await self._running[message_id].cancel()

    async def _authenticated(self, token: object) -> Principal:
        """Who speaks: the message's own token, else whoever was signed in before."""
        try:
            if token is not None:
                if not isinstance(token, str):
                    raise InvalidToken
                principal = await self._verifier.verify(token.removeprefix("Bearer "))
                self._sockets.hand_over(self, str(principal.user_id))
                self._principal = principal
            if self._principal is None:
                raise self._auth_failure or Unauthorized()
            await self._verifier.check(self._principal)
        except Unauthorized as error:
            decision = await self._rate_limits.take("address", self._address)
            if not decision.allowed:
                limited = RateLimited(retry_after=decision.retry_after, limit=decision.limit)
                raise _Strike(limited) from None
            if isinstance(error, TokenExpired) and error.user_id is not None:
                await self._locks.check(error.user_id)
            raise _Strike(error) from None
        return self._principal

    async def _refuse(self, error: ChukError, message_id: MessageId | None) -> None:
        if isinstance(error, _Strike):
            error = error.cause
            self._strikes += 1
        else:
            self._strikes = 0
        if message_id in self._running:
            # With its id the error would seem to be that turn's end.
            message_id = None
        await self._outbox.send(error_frame(self._profile, error, message_id))
        if self._strikes >= _STRIKES:
            self.close_soon(WSCloseCode.POLICY_VIOLATION)

    async def _close(self, code: int) -> None:
        running = tuple(self._running.values())
        for listening in running:
            listening.interrupt()
        await _briefly(asyncio.gather(*(listening.finished() for listening in running)))
        await _briefly(self._outbox.flushed())
        await self._socket.close(code=code)


async def _briefly(work: Awaitable[object]) -> None:
    """Wait for last words, but not for a client that does not read them."""
    try:
        async with asyncio.timeout(_LAST_WORDS):
            await work
    except TimeoutError:
        pass


def _message_id(fields: dict[str, Any]) -> MessageId | None:
    value = fields.get("id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise InvalidRequest.field("id", "Must be a text or a whole number.")
    if len(str(value)) > _MAX_ID_LENGTH:
        raise InvalidRequest.field("id", f"Longer than {_MAX_ID_LENGTH} characters.")
    return value


class _Strike(ChukError):
    """A message that is not JSON or has no valid token: three in a row close the socket."""

    def __init__(self, cause: ChukError) -> None:
        super().__init__()
        self.cause = cause
