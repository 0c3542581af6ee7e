"""What changes a stream in Redis, as calls of a pipeline. All that is written ends by itself."""

from __future__ import annotations

from collections.abc import Mapping

from redis.asyncio.client import Pipeline

from chuk.adapters.redis.records import (
    Fields,
    entry_id,
    events_key,
    facts_key,
    followed_key,
    running_key,
    user_key,
)

MARGIN = 60.0
"""Seconds that Redis keeps a stream whose process is silent, beside the usual ones."""


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


def forget(pipeline: Pipeline, names: Mapping[str, str], process: str) -> None:
    """Delete these streams, each of the user with that hidden name; few calls for many."""
    pipeline.unlink(
        *(
            key
            for stream_id in names
            for key in (facts_key(stream_id), events_key(stream_id), followed_key(stream_id))
        )
    )
    pipeline.srem(running_key(process), *names)
    for name in set(names.values()):
        theirs = [stream_id for stream_id, owner in names.items() if owner == name]
        pipeline.zrem(user_key(name), *theirs)


def _expire(pipeline: Pipeline, stream_id: str, seconds: float) -> None:
    for key in (facts_key(stream_id), events_key(stream_id)):
        pipeline.pexpire(key, _milliseconds(seconds))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
