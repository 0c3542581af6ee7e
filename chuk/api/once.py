"""Requests with an `Idempotency-Key`: sent again, they get the same answer and cost nothing more.

answer = await answered_once(request, "images", fields, make)
return render_data(request, answer.data, headers=answer.headers)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from chuk.accounts.principal import Principal
from chuk.api.keys import IDEMPOTENCY, STREAMS, TURNS
from chuk.chat.command import ChatCommand
from chuk.chat.generation import Generation
from chuk.chat.ports import Subscriber
from chuk.chat.streams import Streams
from chuk.chat.turn import Turns
from chuk.errors import InvalidRequest, NotFound
from chuk.idempotency.fingerprint import fingerprint
from chuk.idempotency.ports import KEEP, Claim
from chuk.idempotency.service import Idempotency, is_key
from chuk.web.keys import PRINCIPAL

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
REPLAYED = {REPLAYED_HEADER: "true"}
"""Headers of an answer that somebody had before."""

_RULE = "Must be 1 to 255 visible ASCII characters."

Work = Callable[[str | None], Awaitable[Any]]
"""Does what was asked for, and returns JSON-ready data. It is given the id for its order; None:
any one will do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """JSON-ready data, and the headers that go with it."""

    data: Any
    headers: Mapping[str, str]


def idempotency_key(request: web.Request) -> str | None:
    """The key that came with a request.

    Raises:
        InvalidRequest: there is one, and it cannot be one.
    """
    keys = request.headers.getall(HEADER, [])
    if not keys:
        return None
    if len(keys) > 1 or not is_key(keys[0]):
        raise InvalidRequest.field(HEADER, _RULE)
    return keys[0]


async def answered_once(request: web.Request, endpoint: str, meaning: Any, work: Work) -> Answer:
    """Do the work; or, where the key of this request stands for it already, share what it comes to.

    Work with a key goes on when its client leaves: it must hold what it needs by itself from its
    first step on, up to which nothing is awaited.

    Args:
        endpoint: a key that was used for another one stands for another request.
        meaning: all that decides about the result; see `chuk.idempotency.fingerprint`.

    Raises:
        InvalidRequest: the key cannot be one.
        IdempotencyConflict: it stands for another request, or its result is not kept any more.
        ServiceUnavailable: the promise cannot be kept now.
        ChukError: what the work raised.
    """
    key = idempotency_key(request)
    if key is None:
        return Answer(await work(None), {})

    async def done(order_id: str) -> bytes:
        return orjson.dumps(await work(order_id))

    body, is_repeated = await request.config_dict[IDEMPOTENCY].once(
        request[PRINCIPAL].user_id, key, await fingerprint(key, endpoint, meaning), done
    )
    return Answer(orjson.Fragment(body), REPLAYED if is_repeated else {})


@dataclass(frozen=True, slots=True)
class KeyedTurns:
    """Turns with a key: begun once, and handed on to everybody who comes with it later."""

    idempotency: Idempotency
    turns: Turns
    streams: Streams

    async def start(
        self,
        principal: Principal,
        command: ChatCommand,
        subscriber: Subscriber,
        *,
        key: str,
        endpoint: str,
        on_repeat: Callable[[str], None],
    ) -> Generation | None:
        """Begin a turn; or, where its key stands for one already, hand that on, from its first
        event to its end.

        Args:
            endpoint: as in `answered_once`.
            on_repeat: called with the name of an older turn before it is delivered.

        Returns:
            The turn that began, to wait for and to leave; None: an older one was handed on.

        Raises:
            IdempotencyConflict, ServiceUnavailable: as `answered_once`.
            ChukError: as `Turns.start` and `Streams.resume`.
        """
        user_id = principal.user_id
        meaning = await fingerprint(key, endpoint, command)
        while True:
            taken = await self.idempotency.take(user_id, key, meaning)
            if taken.is_new:
                return await self._begun(taken.claim, principal, command, subscriber)
            on_repeat(taken.claim.work)
            try:
                await self.streams.resume(user_id, taken.claim.work, 0, subscriber)
            except NotFound:
                await self.idempotency.look_again(taken.claim)
            else:
                return None

    async def _begun(
        self, claim: Claim, principal: Principal, command: ChatCommand, subscriber: Subscriber
    ) -> Generation:
        try:
            turn = self.turns.start(
                principal,
                command,
                subscriber,
                stream_id=claim.work,
                keep=KEEP.total_seconds(),
            )
        except BaseException:
            await self.idempotency.drop(claim)
            raise
        turn.when_over(lambda: self.idempotency.end_soon(claim, failed=turn.came_to_nothing))
        self.idempotency.begin(claim)
        return turn


def keyed_turns(services: Mapping[Any, Any]) -> KeyedTurns:
    """Of an application, by its `config_dict`."""
    return KeyedTurns(services[IDEMPOTENCY], services[TURNS], services[STREAMS])
