"""Rate limits: one leaky bucket for each (kind, user or address), a full one may burst."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aiolimiter import AsyncLimiter

from chuk.clock import Clock, utc_now

WINDOW = 60
_MOST_BUCKETS = 100_000
_SWEPT_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one request may pass.

    Attributes:
        limit: requests a minute.
        remaining: how many more would pass right now.
        resets_at: Unix seconds at which the bucket will be empty again.
        retry_after: seconds until the next one would pass; 0 when this one did.
    """

    allowed: bool
    limit: int
    remaining: int
    resets_at: int
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """What every limited answer carries."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.resets_at),
        }


def decide(allowed: bool, level: float, rate: float, now: float) -> Decision:
    """What to tell the client.

    Args:
        level: how full the bucket is now, in requests; one that passed is in it.
        rate: requests a minute.
        now: Unix seconds.
    """
    missing = 0.0 if allowed else (1 - rate + level) * WINDOW / rate
    return Decision(
        allowed=allowed,
        limit=int(rate),
        remaining=max(0, math.floor(rate - level + 1e-6)),
        resets_at=math.ceil(now + level * WINDOW / rate),
        retry_after=0 if allowed else max(1, math.ceil(missing)),
    )


class RateLimits(Protocol):
    """Counts requests; one implementation in memory, others may be shared by processes."""

    refused: Counter[str]

    async def take(self, bucket: str, key: str) -> Decision:
        """Count one request of this kind from this user or address."""
        ...


class MemoryRateLimits:
    """Buckets of this process, on aiolimiter.

    Args:
        per_minute: for each kind, how many requests a minute.
        most_buckets: how many are kept; the oldest give way.

    Attributes:
        refused: how many requests of each kind did not pass.
    """

    def __init__(
        self,
        per_minute: Mapping[str, int],
        *,
        clock: Clock = utc_now,
        most_buckets: int = _MOST_BUCKETS,
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._per_minute = dict(per_minute)
        self._clock = clock
        self._most_buckets = most_buckets
        self._buckets: dict[tuple[str, str], AsyncLimiter] = {}

    async def take(self, bucket: str, key: str) -> Decision:
        """See `RateLimits.take`."""
        limiter = self._buckets.get((bucket, key))
        if limiter is None:
            limiter = self._new_bucket(bucket, key)
        # Nothing is awaited between the question and a grant that is there: no race, no wait.
        allowed = limiter.has_capacity()
        if allowed:
            await limiter.acquire()
        else:
            self.refused[bucket] += 1
        # aiolimiter offers the level only under this name; the pinned version keeps it current
        # in has_capacity().
        return decide(allowed, limiter._level, limiter.max_rate, self._clock().timestamp())

    def tick(self, _now: float) -> None:
        """Forget the buckets that have run empty; a few at a time, all in turn."""
        for name in list(itertools.islice(self._buckets, _SWEPT_AT_ONCE)):
            limiter = self._buckets.pop(name)
            if not limiter.has_capacity(limiter.max_rate):
                self._buckets[name] = limiter

    def __len__(self) -> int:
        return len(self._buckets)

    def _new_bucket(self, bucket: str, key: str) -> AsyncLimiter:
        if len(self._buckets) >= self._most_buckets:
            # A flood of addresses must not cost memory.
            del self._buckets[next(iter(self._buckets))]
        limiter = self._buckets[bucket, key] = AsyncLimiter(self._per_minute[bucket], WINDOW)
        return limiter
