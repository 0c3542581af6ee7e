"""The way to Redis: short waits, one kind of failure, and knowing for a while that it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from chuk.logs import logger

Answer = TypeVar("Answer")

_CONNECTIONS = 32
_WAITING_CONNECTIONS = 10_000
_LOOK_INTERVAL = 1.0
_COMPLAINT_INTERVAL = 60.0

_log = logger("redis")


class RedisAway(Exception):
    """Redis does not answer, or not with what was asked for; the caller goes on without it."""


class RedisConnection:
    """Calls Redis for everybody in this process.

    While it is away, calls fail at once instead of waiting for their time-out; a background task
    looks whether it is back. An outage is logged when it begins and when it ends.

    Args:
        url: redis, rediss or unix; may hold a password.
        timeout: seconds for one call, the connecting included.
        look_interval: seconds between looks whether it is back.

    Attributes:
        outages: how often it went away since the start.
        failures: calls that failed since the start, those without trying included.
    """

    def __init__(self, url: str, *, timeout: float, look_interval: float = _LOOK_INTERVAL) -> None:
        self.outages = 0
        self.failures = 0
        self._url = url
        self._timeout = timeout
        self._look_interval = look_interval
        # No retries: a repeated call could do a thing twice. The time-outs are in `run`, which
        # covers the wait for a free connection too.
        options = {
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        calls = BlockingConnectionPool.from_url(
            url, max_connections=_CONNECTIONS, timeout=None, **options
        )
        waits = ConnectionPool.from_url(url, max_connections=_WAITING_CONNECTIONS, **options)
        self._client, self._waiting_client = Redis.from_pool(calls), Redis.from_pool(waits)
        self._healing: asyncio.Task[None] | None = None
        self._complained_at = self._back_since = float("-inf")

    @property
    def is_away(self) -> bool:
        """Whether it did not answer lately."""
        return self._healing is not None

    def came_back_within(self, seconds: float) -> bool:
        """Whether it was away until less than so many seconds ago: it may have forgotten all."""
        return asyncio.get_running_loop().time() - self._back_since < seconds

    @property
    def address(self) -> str:
        """Where it is, without its password."""
        parts = urlsplit(self._url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or 'localhost'}{port}{parts.path}"

    async def close(self) -> None:
        """Close every connection."""
        if self._healing is not None:
            self._healing.cancel()
            with suppress(asyncio.CancelledError):
                await self._healing
            self._healing = None
        await self._client.aclose()
        await self._waiting_client.aclose()

    async def run(self, call: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """What `call` makes of the client.

        Raises:
            RedisAway: it does not answer in time, or refuses the call.
        """
        return await self._run(self._client, call, self._timeout)

    async def wait(self, call: Callable[[Redis], Awaitable[Answer]], seconds: float) -> Answer:
        """Like `run`, for a call that waits in Redis for as long as `seconds`.

        It has a connection of its own, so that waiting does not hold others up.
        """
        return await self._run(self._waiting_client, call, self._timeout + seconds)

    def script(self, text: str) -> AsyncScript:
        """A Lua script that Redis remembers; to be called inside `run`, with its client."""
        return self._client.register_script(text)

    async def ping(self) -> None:
        """Ask whether it is there, also while it is known to be away.

        Raises:
            RedisAway: it does not answer in time, or refuses.
        """
        await self._attempt(self._client, _ping, self._timeout)

    async def _run(
        self, client: Redis, call: Callable[[Redis], Awaitable[Answer]], timeout: float
    ) -> Answer:
        if self._healing is not None:
            self.failures += 1
            raise RedisAway("away")
        return await self._attempt(client, call, timeout)

    async def _attempt(
        self, client: Redis, call: Callable[[Redis], Awaitable[Answer]], timeout: float
    ) -> Answer:
        try:
            async with asyncio.timeout(timeout):
                return await call(client)
        except ResponseError as error:
            self._note_refusal(error)
            raise RedisAway(type(error).__name__) from None
        except (RedisError, OSError, TimeoutError) as error:
            self._note_absence(error)
            raise RedisAway(type(error).__name__) from None

    def _note_refusal(self, error: ResponseError) -> None:
        """It is there, but does not do this: no memory left, or a replica."""
        self.failures += 1
        now = asyncio.get_running_loop().time()
        if now - self._complained_at >= _COMPLAINT_INTERVAL:
            self._complained_at = now
            _log.warning("redis_refuses", error=type(error).__name__, failures=self.failures)

    def _note_absence(self, error: Exception) -> None:
        self.failures += 1
        if self._healing is not None:
            return
        self.outages += 1
        _log.warning("redis_away", error=type(error).__name__, outages=self.outages)
        self._healing = asyncio.create_task(self._heal(), name="redis")

    async def _heal(self) -> None:
        before = self.failures
        while True:
            await asyncio.sleep(self._look_interval)
            try:
                await self.ping()
            except RedisAway:
                continue
            break
        self._healing = None
        self._back_since = asyncio.get_running_loop().time()
        _log.info("redis_back", failures=self.failures - before)


async def _ping(client: Redis) -> None:
    await client.ping()
