"""What several processes share: by Redis, or nothing where it is not set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chuk.adapters.redis.catalog import LOOKS, SharedModelSource
from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.leadership import RedisLeadership
from chuk.adapters.redis.limits import RedisRateLimits
from chuk.adapters.redis.pictures import RedisPictures
from chuk.adapters.redis.presence import RedisPresence
from chuk.app.models import Models
from chuk.app.parts import Part
from chuk.app.sealing import stream_seals
from chuk.catalog.ports import ModelSource
from chuk.catalog.selection import Selection
from chuk.catalog.service import Catalog
from chuk.errors import ServiceUnavailable
from chuk.leadership import Alone, Leadership
from chuk.media.pictures import PictureCopies
from chuk.presence import OnlyOne, Presence
from chuk.settings import Settings
from chuk.web.limits import MemoryRateLimits, RateLimits
from chuk.web.watch import Tick


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the other services need of it.

    Attributes:
        connection: None where there is no Redis.
        pictures: None where each process has its own, or one folder has them all.
        start: begins to share; never fails for want of Redis.
        close: leaves to others what this process had; before it, nothing else may stop working.
    """

    rate_limits: RateLimits
    leadership: Leadership
    presence: Presence
    connection: RedisConnection | None
    pictures: PictureCopies | None
    tick: Tick
    part: Part
    start: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]

    def catalog(self, settings: Settings, models: Models) -> Catalog:
        """The model list, from these models; fetched once for all that share."""
        data_dir, interval = settings.server.data_dir, settings.upstream.catalog_refresh
        connection = self.connection
        if connection is None:
            return models.make_catalog(data_dir, interval)

        def share(source: ModelSource, origin: str, selection: Selection) -> ModelSource:
            return SharedModelSource(
                source, connection, origin=origin, selection=selection, fresh_for=interval
            )

        return models.make_catalog(data_dir, interval / LOOKS, share)


def make_sharing(settings: Settings, owner: str, carries: Callable[[], int]) -> Sharing:
    """Put together what the settings name; nothing runs yet.

    Args:
        owner: this process; unlike all others.
        carries: how many chat connections are open here now.
    """
    limits = settings.limits
    per_minute = {name: getattr(limits, name) for name in limits.__dataclass_fields__}
    if settings.redis.url:
        return _shared(settings, owner, carries, per_minute)
    rate_limits = MemoryRateLimits(per_minute)
    return Sharing(
        rate_limits=rate_limits,
        leadership=Alone(),
        presence=OnlyOne(),
        connection=None,
        pictures=None,
        tick=rate_limits.tick,
        part=Part("sharing", "nobody", _alone),
        start=_nothing,
        close=_nothing,
    )


def _shared(
    settings: Settings, owner: str, carries: Callable[[], int], per_minute: dict[str, int]
) -> Sharing:
    redis = settings.redis
    connection = RedisConnection(redis.url, timeout=redis.timeout)
    rate_limits = RedisRateLimits(connection, per_minute)
    leadership = RedisLeadership(connection, owner, lease=redis.leader_lease)
    presence = RedisPresence(connection, owner, carries)

    async def start() -> None:
        await presence.start()
        await leadership.start()

    async def close() -> None:
        await leadership.close()
        await presence.close()
        await connection.close()

    async def answers() -> str:
        try:
            await connection.ping()
        except RedisAway as error:
            raise ServiceUnavailable(f"Redis does not answer ({error}).") from None
        return "answers"

    return Sharing(
        rate_limits=rate_limits,
        leadership=leadership,
        presence=presence,
        connection=connection,
        pictures=RedisPictures(connection, stream_seals(settings)) if redis.pictures else None,
        tick=rate_limits.tick,
        part=Part("sharing", f"Redis at {connection.address}", answers),
        start=start,
        close=close,
    )


async def _alone() -> str:
    return "this process alone: REDIS_URL is not set"


async def _nothing() -> None:
    """There is nothing to begin and nothing to end."""
