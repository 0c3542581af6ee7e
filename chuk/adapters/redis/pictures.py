"""Pictures for processes that have no folder in common with the one that made them.

Each lies in Redis for an hour, under a hash of its name, sealed with a key that takes both the
name and the processes' own key: who has Redis alone sees nothing.
"""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.sealing import Seals, StreamSeal, Unsealable
from chuk.logs import logger
from chuk.media.pictures import SHORTEST_KEEP

_KEEP_MILLISECONDS = int(SHORTEST_KEEP * 1000)
_PLACE = b"picture"
_MOMENT = struct.Struct(">d")

_log = logger("pictures")


class RedisPictures:
    """Copies of pictures in Redis.

    Attributes:
        failures: copies that could not be made or read since the start.
    """

    def __init__(self, connection: RedisConnection, seals: Seals) -> None:
        self.failures = 0
        self._connection = connection
        self._seals = seals

    async def put(self, name: str, data: bytes, moment: datetime) -> None:
        """See `PictureCopies.put`."""
        whole = _MOMENT.pack(moment.timestamp()) + data
        sealed = await asyncio.to_thread(self._seal(name).seal, _PLACE, whole)

        async def call(client: Redis) -> Any:
            return await client.set(_key(name), sealed, px=_KEEP_MILLISECONDS)

        try:
            await self._connection.run(call)
        except RedisAway as error:
            self._note("picture_not_shared", error)

    async def get(self, name: str) -> tuple[bytes, datetime] | None:
        """See `PictureCopies.get`."""

        async def call(client: Redis) -> Any:
            return await client.get(_key(name))

        try:
            sealed = await self._connection.run(call)
            if sealed is None:
                return None
            whole = await asyncio.to_thread(self._seal(name).open, _PLACE, sealed)
        except (RedisAway, Unsealable) as error:
            self._note("shared_picture_not_read", error)
            return None
        (timestamp,) = _MOMENT.unpack_from(whole)
        return whole[_MOMENT.size :], datetime.fromtimestamp(timestamp, UTC)

    def _seal(self, name: str) -> StreamSeal:
        return self._seals.of(f"picture:{name}")

    def _note(self, event: str, error: Exception) -> None:
        self.failures += 1
        _log.warning(event, error=type(error).__name__, failures=self.failures)


def _key(name: str) -> str:
    return f"chuk:picture:{blake2b(name.encode(), digest_size=16).hexdigest()}"
