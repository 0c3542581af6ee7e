"""Claims of all processes, and what they came to, in Redis.

    chuk:claim:<key>      the claim, for a day
    chuk:outcome:<work>   what it came to, sealed, as long
    chuk:claims:<owner>   the names of a user's claims, by their age

Names are hashes. A promise needs its keeper: while Redis is away, requests with a key are refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from redis.asyncio import Redis

from chuk.adapters.redis.connection import RedisAway, RedisConnection
from chuk.adapters.redis.sealing import Seals, Unsealable
from chuk.chat.event_codec import UnreadableEvents, decode, encode
from chuk.chat.events import Failed
from chuk.clock import Clock, utc_now
from chuk.errors import ChukError, ServiceUnavailable
from chuk.idempotency.ports import KEEP, Claim, ClaimState, Outcome
from chuk.logs import logger

# The claim that stands stays, unless it is too old or the one that gives way.
_CLAIM = """
local work = redis.call('HGET', KEYS[1], 'work')
if work and work ~= ARGV[1]
    and tonumber(redis.call('HGET', KEYS[1], 'claimed_at')) > tonumber(ARGV[2]) then
  return redis.call('HGETALL', KEYS[1])
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('HGETALL', KEYS[1])
"""
_RENEW = """
if redis.call('HGET', KEYS[1], 'work') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'lease_until', ARGV[2])
end
"""
_SERVE = """
local left = redis.call('PTTL', KEYS[1])
if redis.call('HGET', KEYS[1], 'work') ~= ARGV[1] or left <= 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'state', 'served')
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', left)
end
return 1
"""
_GIVE_UP = """
if redis.call('HGET', KEYS[1], 'work') == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
end
"""
_FORGET = """
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local work = redis.call('HGET', name, 'work')
  if work then
    redis.call('DEL', ARGV[1] .. work)
  end
  redis.call('DEL', name)
end
redis.call('DEL', KEYS[1])
"""
_OUTCOME = "chuk:outcome:"
_KEEP_MILLISECONDS = KEEP // timedelta(milliseconds=1)
# Whoever waits for a work looks several times a second.
_ERROR_MILLISECONDS = 60_000
# Claims that are renewed in one call.
_AT_ONCE = 50
_PLACE = b"outcome"
_ANSWER, _ERROR = b"A", b"E"
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_log = logger("idempotency")

_Arguments = list[str | int | bytes]


class RedisIdempotency:
    """See `chuk.idempotency.ports.IdempotencyStore`. The connection is closed by its owner."""

    def __init__(
        self, connection: RedisConnection, seals: Seals, *, clock: Clock = utc_now
    ) -> None:
        self._connection = connection
        self._seals = seals
        self._clock = clock
        self._claim = connection.script(_CLAIM)
        self._serve = connection.script(_SERVE)
        self._give_up = connection.script(_GIVE_UP)
        self._forget = connection.script(_FORGET)

    async def claim(self, wanted: Claim, *, instead_of: str | None = None) -> Claim:
        fields = _fields(wanted)
        arguments: _Arguments = [
            instead_of or "",
            _microseconds(self._clock() - KEEP),
            _KEEP_MILLISECONDS,
            fields["claimed_at"],
            *(text for field in fields.items() for text in field),
        ]
        keys = [_claim_key(wanted), f"chuk:claims:{wanted.owner}"]
        told = await self._run(lambda client: self._claim(keys=keys, args=arguments, client=client))
        pairs = [part.decode() for part in told]
        return _claim_of(wanted.key, dict(zip(pairs[::2], pairs[1::2], strict=True)))

    async def renew(self, claims: Collection[Claim], until: datetime) -> None:
        lease_until = _microseconds(until)
        waiting = tuple(claims)
        for start in range(0, len(waiting), _AT_ONCE):
            some = waiting[start : start + _AT_ONCE]

            async def renew(client: Redis, some: Sequence[Claim] = some) -> None:
                pipeline = client.pipeline(transaction=False)
                for claim in some:
                    pipeline.eval(_RENEW, 1, _claim_key(claim), claim.work, str(lease_until))
                await pipeline.execute()

            await self._run(renew)

    async def serve(self, claim: Claim, answer: bytes | None) -> None:
        sealed = b"" if answer is None else self._sealed(claim, _ANSWER + answer)
        arguments: _Arguments = [claim.work, sealed]
        await self._run(
            lambda client: self._serve(keys=_keys(claim), args=arguments, client=client)
        )

    async def give_up(self, claim: Claim, error: ChukError | None) -> None:
        sealed = b"" if error is None else self._sealed(claim, _ERROR + encode([Failed(error)]))
        arguments: _Arguments = [claim.work, sealed, _ERROR_MILLISECONDS]
        await self._run(
            lambda client: self._give_up(keys=_keys(claim), args=arguments, client=client)
        )

    async def outcome(self, work: str) -> Outcome | None:
        async def get(client: Redis) -> bytes | None:
            found = await client.get(_OUTCOME + work)
            return cast(bytes | None, found)

        sealed = await self._run(get)
        if sealed is None:
            return None
        try:
            opened = self._seals.of(work).open(_PLACE, sealed)
            if opened[:1] == _ANSWER:
                return opened[1:]
            (failed,) = decode(opened[1:])
        except (Unsealable, UnreadableEvents) as error:
            _log.warning("outcome_unreadable", error=type(error).__name__)
            return None
        return failed.error if isinstance(failed, Failed) else None

    async def forget(self, owner: str) -> None:
        keys = [f"chuk:claims:{owner}"]
        await self._run(lambda client: self._forget(keys=keys, args=[_OUTCOME], client=client))

    async def sweep(self) -> None:
        """Nothing: Redis does it by itself."""

    async def close(self) -> None:
        """Nothing: the connection is somebody else's."""

    def _sealed(self, claim: Claim, data: bytes) -> bytes:
        return self._seals.of(claim.work).seal(_PLACE, data)

    async def _run(self, call: Callable[[Redis], Awaitable[Any]]) -> Any:
        try:
            return await self._connection.run(call)
        except RedisAway:
            raise ServiceUnavailable from None


def _claim_key(claim: Claim) -> str:
    return f"chuk:claim:{claim.key}"


def _keys(claim: Claim) -> list[str]:
    return [_claim_key(claim), _OUTCOME + claim.work]


def _fields(claim: Claim) -> dict[str, str]:
    return {
        "owner": claim.owner,
        "fingerprint": claim.fingerprint,
        "work": claim.work,
        "process": claim.process,
        "state": claim.state.value,
        "claimed_at": str(_microseconds(claim.claimed_at)),
        "lease_until": str(_microseconds(claim.lease_until)),
    }


def _claim_of(key: str, fields: Mapping[str, str]) -> Claim:
    return Claim(
        key=key,
        owner=fields["owner"],
        fingerprint=fields["fingerprint"],
        work=fields["work"],
        process=fields["process"],
        state=ClaimState(fields["state"]),
        claimed_at=_moment(fields["claimed_at"]),
        lease_until=_moment(fields["lease_until"]),
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _START) // _MICROSECOND


def _moment(microseconds: str) -> datetime:
    return _START + timedelta(microseconds=int(microseconds))
