"""What is new of several streams, and what is to be forgotten, brought to Redis in one call.

The call is put into bytes here: the client library takes about as long for one argument as this
does for ten, and there are a dozen for each answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, ResponseError

from chuk.adapters.redis.records import (
    BATCH,
    END,
    LENGTH,
    Fields,
    Opening,
    entry_id,
    events_key,
    facts_key,
    followed_key,
    running_key,
    user_key,
)
from chuk.adapters.redis.writing import MARGIN

GONE = b""
"""Instead of an error: Redis had the stream, and does not have it any more."""

_ERROR_CODE = re.compile(rb"\b[A-Z]{3,}\b")
# The ids of a user's streams are found again for longer than any of them is kept: all of them have
# to go when their user does.
_INDEX_SECONDS = 90_000

# Tells only of what it could not add, by its place among the streams: most times that is nothing.
# A batch may stand there already; what goes wrong with one stream must not keep others out.
_BRING = b"""
local running, process, index_seconds = KEYS[1], ARGV[1], ARGV[2]
local untaken, place, key, at = {}, 0, 2, 3

local function add(command, batch, length, last)
    local call = {'XADD', unpack(command)}
    for _, part in ipairs({'batch', batch, 'length', length}) do call[#call + 1] = part end
    if last ~= '' then
        call[#call + 1] = 'end'
        call[#call + 1] = last
    end
    return redis.pcall(unpack(call))
end

local function open(facts, events, index, id, lasts, entry, batch, length, last, more)
    redis.call('HSET', facts, 'process', process, 'owner', more[1], 'sealed', more[2])
    redis.call('PEXPIRE', facts, lasts)
    redis.call('ZADD', index, more[3], id)
    redis.call('ZREMRANGEBYSCORE', index, '-inf', more[4])
    redis.call('EXPIRE', index, index_seconds)
    if last == '' then
        redis.call('SADD', running, id)
        redis.call('EXPIRE', running, index_seconds)
    end
    local added = add({events, entry}, batch, length, last)
    redis.call('PEXPIRE', events, lasts)
    return added
end

local function append(facts, events, id, lasts, entry, batch, length, last)
    local added = add({events, 'NOMKSTREAM', entry}, batch, length, last)
    if last ~= '' and type(added) == 'string' then
        redis.call('PEXPIRE', facts, lasts)
        redis.call('PEXPIRE', events, lasts)
        redis.call('SREM', running, id)
    end
    return added
end

local function forget(facts, events, followed, index, id)
    redis.call('UNLINK', facts, events, followed)
    redis.call('SREM', running, id)
    redis.call('ZREM', index, id)
    return id
end

while at <= #ARGV do
    local facts, events, kind, id = KEYS[key], KEYS[key + 1], ARGV[at], ARGV[at + 1]
    local done, added
    key, at = key + 2, at + 2
    if kind == 'gone' then
        done, added = pcall(forget, facts, events, KEYS[key], KEYS[key + 1], id)
        key = key + 2
    else
        local lasts, entry, batch, length, last = unpack(ARGV, at, at + 4)
        at = at + 5
        if kind == 'new' then
            done, added = pcall(open, facts, events, KEYS[key], id, lasts, entry, batch, length,
                last, {unpack(ARGV, at, at + 3)})
            key, at = key + 1, at + 4
        else
            done, added = pcall(append, facts, events, id, lasts, entry, batch, length, last)
        end
    end
    if not done or type(added) ~= 'string' then
        local why = added or ''
        if type(why) == 'table' then why = why.err or 'ERR' end
        untaken[#untaken + 1] = place
        untaken[#untaken + 1] = why
    end
    place = place + 1
end
return untaken
"""
_NAME = hashlib.sha1(_BRING, usedforsecurity=False).hexdigest().encode()


class Bringing:
    """One call that brings batches of several streams of one process."""

    def __init__(self, process: str) -> None:
        self._keys = [running_key(process).encode()]
        self._arguments = [process.encode(), b"%d" % _INDEX_SECONDS]
        self._count = 0

    def open(self, opening: Opening, number: int, fields: Fields) -> None:
        """Make a stream known, with its first batch, which may be all of it."""
        self._add(b"new", opening.id, opening.keep, number, fields)
        self._keys.append(user_key(opening.owner_name).encode())
        self._arguments += (
            opening.owner_name.encode(),
            opening.sealed,
            b"%f" % opening.began_at,
            b"%f" % (opening.began_at - _INDEX_SECONDS),
        )

    def append(self, stream_id: str, keep: float, number: int, fields: Fields) -> None:
        """Add a batch, unless one stands there already (an error), or nothing does any more."""
        self._add(b"more", stream_id, keep, number, fields)

    def forget(self, stream_id: str, owner_name: str) -> None:
        """Leave nothing of a stream."""
        self._count += 1
        self._keys += (
            facts_key(stream_id).encode(),
            events_key(stream_id).encode(),
            followed_key(stream_id).encode(),
            user_key(owner_name).encode(),
        )
        self._arguments += (b"gone", stream_id.encode())

    async def send(self, client: Redis) -> dict[int, bytes]:
        """What Redis did not take, by its place in the order of calls: `GONE`, or its error."""
        if not self._count:
            return {}
        rest = [b"%d" % len(self._keys), *self._keys, *self._arguments]
        try:
            try:
                answer = await _call(client, [b"EVALSHA", _NAME, *rest])
            except NoScriptError:
                answer = await _call(client, [b"EVAL", _BRING, *rest])
        except ResponseError as error:
            return dict.fromkeys(range(self._count), str(error).encode())
        return dict(zip(answer[::2], answer[1::2], strict=True))

    def _add(self, kind: bytes, stream_id: str, keep: float, number: int, fields: Fields) -> None:
        end = fields.get(END, b"")
        self._count += 1
        self._keys += (facts_key(stream_id).encode(), events_key(stream_id).encode())
        self._arguments += (
            kind,
            stream_id.encode(),
            b"%d" % round((keep if end else keep + MARGIN) * 1000),
            entry_id(number),
            fields[BATCH],
            fields[LENGTH],
            end,
        )


def code_of(error: bytes) -> str:
    """How Redis names this kind of error; the rest of it may hold the names of keys."""
    found = _ERROR_CODE.search(error)
    return "unknown" if found is None else found[0].decode()


async def _call(client: Redis, parts: Sequence[bytes]) -> Any:
    """What Redis answers to a command.

    Raises:
        RedisError: it refuses it, or cannot be reached.
    """
    packed = b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])
    pool = client.connection_pool
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    try:
        # Either of these drops the connection where it is left in the middle.
        await connection.send_packed_command(b"*%d\r\n%b" % (len(parts), packed))
        return await connection.read_response()
    finally:
        await pool.release(connection)
