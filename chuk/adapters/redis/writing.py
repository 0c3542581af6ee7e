"""What changes a stream in Redis, as calls of a pipeline. All that is written ends by itself."""

from __future__ import annotations

from redis.asyncio.client import Pipeline

from chuk.adapters.redis.records import (
    Fields,
    Opening,
    entry_id,
    events_key,
    facts_key,
    followed_key,
    running_key,
    user_key,
)

MARGIN = 60.0
"""Seconds that Redis keeps a stream whose process is silent, beside the usual ones."""

# The ids of a user's streams are found again for longer than any of them is kept: all of them have
# to go when their user does.
_INDEX_SECONDS = 90_000

# One call instead of eight: most of what an answer costs us is to put calls into words. The batch
# may stand there already; that is for the caller to see.
_BEGIN = """
redis.call('HSET', KEYS[1], 'process', ARGV[1], 'owner', ARGV[2], 'sealed', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[6])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', ARGV[7])
redis.call('EXPIRE', KEYS[3], ARGV[8])
redis.call('SADD', KEYS[4], ARGV[6])
redis.call('EXPIRE', KEYS[4], ARGV[8])
local id = redis.pcall('XADD', KEYS[2], unpack(ARGV, 9))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return id
"""


def begin(pipeline: Pipeline, opening: Opening, number: int, fields: Fields) -> None:
    """Make a stream known, with its first batch."""
    keys = [
        facts_key(opening.id),
        events_key(opening.id),
        user_key(opening.owner_name),
        running_key(opening.process),
    ]
    arguments: list[str | bytes | int | float] = [
        opening.process,
        opening.owner_name,
        opening.sealed,
        _milliseconds(opening.keep + MARGIN),
        opening.began_at,
        opening.id,
        opening.began_at - _INDEX_SECONDS,
        _INDEX_SECONDS,
        entry_id(number),
    ]
    for field in fields.items():
        arguments += field
    pipeline.eval(_BEGIN, len(keys), *keys, *arguments)


def append(pipeline: Pipeline, stream_id: str, number: int, fields: Fields) -> None:
    """Add a batch, unless one stands there already (an error), or nothing does any more (None)."""
    pipeline.execute_command(
        "XADD",
        events_key(stream_id),
        "NOMKSTREAM",
        entry_id(number),
        *(part for field in fields.items() for part in field),
    )


def prolong(pipeline: Pipeline, stream_id: str, keep: float) -> None:
    """Its process lives: keep it for longer."""
    _expire(pipeline, stream_id, keep + MARGIN)


def finish(pipeline: Pipeline, stream_id: str, keep: float, process: str) -> None:
    """Its end is there: keep it for as long as it is to be kept."""
    _expire(pipeline, stream_id, keep)
    pipeline.srem(running_key(process), stream_id)


def forget(pipeline: Pipeline, stream_id: str, name: str, process: str) -> None:
    """Delete a stream of the user with this hidden name."""
    pipeline.unlink(facts_key(stream_id), events_key(stream_id), followed_key(stream_id))
    pipeline.srem(running_key(process), stream_id)
    pipeline.zrem(user_key(name), stream_id)


def _expire(pipeline: Pipeline, stream_id: str, seconds: float) -> None:
    for key in (facts_key(stream_id), events_key(stream_id)):
        pipeline.pexpire(key, _milliseconds(seconds))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
