"""One model list for all processes: one of them fetches it, the others take it from Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.catalog.encoding import FORMAT, UnreadableList, decode_list, encode_list
from chuk.catalog.models import Model
from chuk.catalog.ports import ModelSource
from chuk.catalog.selection import Selection
from chuk.logs import logger

LOOKS = 10
"""How often, while a list is fresh, a process should ask whether there is another."""

# One that died is replaced after the one; all of a slow fetch, and more, fits in the other.
_LONGEST_FETCH = 30.0
_PATIENCE = 150.0
_PAUSE = 5.0
_POLL = 0.1

_log = logger("catalog")


class SharedModelSource:
    """A source whose list is fetched once for all processes while it is fresh.

    Whoever finds none that is fresh fetches it; the others wait for that one. When it takes too
    long, or while Redis is away, each process fetches for itself. All that Redis holds came from
    the source, so it is restricted to ZDR providers as well.

    Args:
        origin, selection: what the list depends on; processes that differ in them share none.
        fresh_for: seconds after which it is fetched anew.
        longest_fetch: seconds after which a process that fetches is no longer waited for, and
            one more fetches.
        patience: seconds to wait for others in all.
        pause: seconds after a failure before any process asks the source again.
        sleep: how it waits.

    Attributes:
        fetches: how often this process has asked the source itself.
    """

    def __init__(
        self,
        source: ModelSource,
        connection: RedisConnection,
        *,
        origin: str,
        selection: Selection,
        fresh_for: float,
        longest_fetch: float = _LONGEST_FETCH,
        patience: float = _PATIENCE,
        pause: float = _PAUSE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.fetches = 0
        self._source = source
        self._connection = connection
        self._origin = origin
        self._fresh_for = _milliseconds(fresh_for)
        self._longest_fetch = _milliseconds(longest_fetch)
        self._patience = patience
        self._pause = _milliseconds(pause)
        self._sleep = sleep
        restriction = (selection.allow, selection.block, sorted(selection.blocked_providers))
        name = _digest(repr((FORMAT, origin, restriction)).encode())
        self._list_key = f"chuk:catalog:{name}:list"
        self._version_key = f"chuk:catalog:{name}:version"
        self._fetcher_key = f"chuk:catalog:{name}:fetcher"
        self._version = b""
        self._models: tuple[Model, ...] = ()
        self._fresh_until = float("-inf")

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        """See `ModelSource.fetch`. The same object again means that nothing has changed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        try:
            while (kept := await self._take()) is None:
                if await self._connection.run(self._claim):
                    break
                if loop.time() >= end:
                    _log.warning("catalog_fetched_alone", reason="nobody else has done it")
                    break
                await self._sleep(_POLL)
        except RedisAway as error:
            if loop.time() < self._fresh_until:
                return self._models
            _log.warning("catalog_fetched_alone", reason=str(error))
            kept = None
        return await self._fetch(known) if kept is None else kept

    async def _fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        self.fetches += 1
        try:
            models = tuple(await self._source.fetch(known))
        except BaseException:
            await self._tell(self._give_up)
            raise
        body = await asyncio.to_thread(encode_list, models, self._origin)

        async def give(client: Redis) -> None:
            async with client.pipeline(transaction=True) as pipeline:
                pipeline.set(self._list_key, body, px=self._fresh_for)
                pipeline.set(self._version_key, _digest(body), px=self._fresh_for)
                pipeline.delete(self._fetcher_key)
                await pipeline.execute()

        await self._tell(give)
        self._keep(body, models)
        return models

    async def _take(self) -> tuple[Model, ...] | None:
        """The list that some process has fetched lately."""
        version = await self._connection.run(self._present_version)
        if version is None:
            return None
        if version == self._version:
            return self._models
        body = await self._connection.run(self._present_list)
        if body is None:
            return None
        try:
            models = await asyncio.to_thread(decode_list, body, self._origin)
        except UnreadableList as error:
            _log.warning("shared_catalog_ignored", error=type(error).__name__)
            return None
        self._keep(body, models)
        return models

    def _keep(self, body: bytes, models: tuple[Model, ...]) -> None:
        # The version of these very bytes: another list may have come since that was read.
        self._version, self._models = _digest(body).encode(), models
        self._fresh_until = asyncio.get_running_loop().time() + self._fresh_for / 1000

    async def _present_version(self, client: Redis) -> Any:
        return await client.get(self._version_key)

    async def _present_list(self, client: Redis) -> Any:
        return await client.get(self._list_key)

    async def _claim(self, client: Redis) -> Any:
        """True where it is this process that has to fetch."""
        return await client.set(self._fetcher_key, b"1", nx=True, px=self._longest_fetch)

    async def _give_up(self, client: Redis) -> None:
        await client.pexpire(self._fetcher_key, self._pause)

    async def _tell(self, call: Callable[[Redis], Awaitable[None]]) -> None:
        try:
            await self._connection.run(call)
        except RedisAway as error:
            _log.warning("catalog_not_shared", reason=str(error))


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _digest(body: bytes) -> str:
    return blake2b(body, digest_size=16).hexdigest()
