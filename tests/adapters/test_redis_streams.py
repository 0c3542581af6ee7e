"""Answers in Redis: sealed, for a while, each in its order."""

from __future__ import annotations

import asyncio
import base64
from contextlib import aclosing

import pytest
import redis

from chuk.adapters.redis.streams import RedisStreams
from chuk.chat.events import Content, Done, Meta, Reasoning, Started, ToolCalls, TurnEvent
from chuk.chat.recording import StreamBounds
from chuk.chat.stream_id import new_stream_id
from chuk.errors import NotFound, ServiceUnavailable, StreamInterrupted
from tests.contracts.kept_streams import KEY, next_told, redis_streams, running, told
from tests.contracts.stores import ADA, MODEL
from tests.harness import eventually
from tests.redis_server import RedisServer

WIDE = StreamBounds(stream=1_000_000, user=2_000_000, total=4_000_000, keep=300.0)
BEGINNING: list[TurnEvent] = [Started("turn"), Content([b"Hel", b"lo"])]


def begin(streams: RedisStreams, stream_id: str = "turn") -> None:
    """Begin an answer of which three events are told."""
    streams.open(stream_id, ADA, MODEL).keep(1, BEGINNING)


async def test_nothing_that_anybody_wrote_and_no_user_can_be_read_in_redis(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one") as one:
        events = [Started("turn"), Content([b"secretive"]), Reasoning([b"thoughtful"])]
        one.open("turn", ADA, MODEL).keep(1, [*events, ToolCalls([b'"callable"']), Done()])
        one.open("other", ADA, MODEL).keep(1, [Content([b"secretive"])])
        await one.shipper.flush()
        held = whole(redis_server)
    assert held.count(b"turn") >= 3
    for word in (b"secretive", b"thoughtful", b"callable", MODEL.encode(), KEY, ADA.bytes):
        for form in (word, base64.b64encode(word), word.hex().encode()):
            assert form not in held
    assert str(ADA).encode() not in held


async def test_redis_forgets_everything_by_itself(redis_server: RedisServer) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        begin(one)
        one.open("over", ADA, MODEL, keep=1_000).keep(1, [*BEGINNING, Done()])
        await one.shipper.flush()
        async with aclosing(two.follow("turn", 0)) as following:
            await anext(following)
            await two.stop("turn")
            with redis_server.client() as client:
                left = {key: client.ttl(key) for key in client.scan_iter()}
    assert {key for key in left if not key.startswith(b"chuk:")} == set()
    assert min(left.values()) > 0, left
    # As long after its end as was asked for; a running one for longer, if its process is silent.
    assert 990 <= left[b"chuk:stream:over"] <= 1_000
    assert 350 <= left[b"chuk:stream:turn:events"] <= 360


async def test_who_is_elsewhere_before_the_answer_is_finds_it_all_the_same(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        stream_id = new_stream_id()
        finding = asyncio.create_task(two.find(stream_id))
        await asyncio.sleep(0)
        begin(one, stream_id)
        facts = await finding
        assert facts is not None and facts.last_event == 3
        assert await two.find(new_stream_id()) is None


async def test_all_of_a_user_is_erased_however_much_there_is(redis_server: RedisServer) -> None:
    async with (
        running(redis_server, "one", bounds=WIDE) as one,
        running(redis_server, "two") as two,
    ):
        for number in range(250):
            one.open(f"turn{number}", ADA, MODEL, keep=86_400).keep(1, [Started("turn"), Done()])
        await one.shipper.flush()
        assert len(await two.of(ADA)) == 200
        await two.erase(ADA)
        with redis_server.client() as client:
            assert list(client.scan_iter("chuk:stream:*")) == []
            assert list(client.scan_iter("chuk:user:*")) == []
        async with asyncio.timeout(30):
            while await one.of(ADA):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_list_does_not_look_for_all_that_there_ever_was(redis_server: RedisServer) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        begin(one)
        await one.shipper.flush()
        with redis_server.client() as client:
            (key,) = client.scan_iter("chuk:user:*")
            client.zadd(key, {f"gone{number}": number for number in range(1_000)})
            assert [facts.id for facts in await two.of(ADA)] == ["turn"]
            assert client.zcard(key) > 500
            await two.erase(ADA)
            assert not client.exists(key)


async def test_what_another_key_has_sealed_is_not_served(redis_server: RedisServer) -> None:
    async with (
        running(redis_server, "one") as one,
        running(redis_server, "two", key=KEY[::-1]) as two,
    ):
        begin(one)
        await one.shipper.flush()
        assert await two.find("turn") is None
        with pytest.raises(NotFound):
            await told(two, "turn")
        assert two.records.unreadable == 2
        assert await two.of(ADA) == []


async def test_what_is_damaged_is_not_served(redis_server: RedisServer) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        begin(one)
        await one.shipper.flush()
        with redis_server.client() as client:
            (entry,) = client.xrange("chuk:stream:turn:events")
            client.delete("chuk:stream:turn:events")
            fields = {**entry[1], b"batch": entry[1][b"batch"][:-1] + b"\x00"}
            client.xadd("chuk:stream:turn:events", fields, id=entry[0])
        with pytest.raises(NotFound):
            await told(two, "turn")
        assert two.records.unreadable == 1


async def test_what_is_damaged_further_on_ends_the_reading_and_does_not_begin_it_anew(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        recording = one.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await one.shipper.flush()
        recording.keep(4, [Content([b"!"]), Done()])
        await one.shipper.flush()
        with redis_server.client() as client:
            _, (number, fields) = client.xrange("chuk:stream:turn:events")
            client.xdel("chuk:stream:turn:events", number)
            # Redis takes no number twice, unless it is told to forget the newest.
            damaged = {**fields, b"batch": fields[b"batch"][:-1] + b"\x00"}
            client.execute_command("XSETID", "chuk:stream:turn:events", "3-0")
            client.xadd("chuk:stream:turn:events", damaged, id=number)
        async with aclosing(two.follow("turn", 0)) as following:
            assert len(await next_told(following, 3)) == 3
            # Whoever has a part must not take it for an answer that was never there.
            with pytest.raises(StreamInterrupted):
                await anext(following)


async def test_a_slow_reader_elsewhere_misses_nothing(redis_server: RedisServer) -> None:
    async with (
        running(redis_server, "one", bounds=WIDE) as one,
        running(redis_server, "two") as two,
    ):
        recording = one.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await one.shipper.flush()
        async with aclosing(two.follow("turn", 0)) as following:
            arrived = await next_told(following, 3)
            for number in range(4, 704):
                recording.keep(number, [Content([b"%d " % number])])
                await one.shipper.flush()
            recording.keep(704, [Done()])
            arrived += await next_told(following, 701)
        assert arrived == await told(one, "turn")


async def test_a_call_of_a_tool_travels_with_what_follows_it(redis_server: RedisServer) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        recording = one.open("turn", ADA, MODEL)
        meta = Meta(MODEL, "groq", free_message=False)
        calls = [ToolCalls([b"%d" % number]) for number in range(3)]
        recording.keep(1, [Started("turn"), calls[0]])
        await one.shipper.flush()
        recording.keep(2, [calls[1]])
        await one.shipper.flush()
        recording.keep(2, [meta, calls[2]])
        recording.keep(3, [Done()])
        await one.shipper.flush()
        async with aclosing(two.follow("turn", 0)) as following:
            events = [event async for _, some in following for event in some]
        assert events == [Started("turn"), calls[0], calls[1], meta, calls[2], Done()]


async def test_many_answers_at_once_arrive_each_in_its_order(redis_server: RedisServer) -> None:
    async with (
        running(redis_server, "one", bounds=WIDE) as one,
        running(redis_server, "two") as two,
    ):
        recordings = {
            f"turn{number}": one.open(f"turn{number}", ADA, MODEL) for number in range(24)
        }
        for stream_id, recording in recordings.items():
            recording.keep(1, [Started(stream_id)])
        await one.shipper.flush()
        hearing = [asyncio.create_task(told(two, stream_id)) for stream_id in recordings]
        for number in range(2, 22):
            for stream_id, recording in recordings.items():
                recording.keep(number, [Content([f"{stream_id} {number} ".encode()])])
            await asyncio.sleep(0.005)
        for recording in recordings.values():
            recording.keep(22, [Done()])
        for stream_id, heard in zip(recordings, await asyncio.gather(*hearing), strict=True):
            assert heard == await told(one, stream_id)
        await eventually(lambda: one.shipper.waiting == 0)


async def test_what_has_begun_may_end_before_it_is_brought_and_does_not_wait_for_long(
    redis_server: RedisServer,
) -> None:
    streams, connection = redis_streams(redis_server, "one")
    ship, began = streams.shipper.ship, asyncio.get_running_loop().time()
    begin(streams)
    short = streams.open("short", ADA, MODEL)
    short.keep(1, BEGINNING)
    assert await ship(at=began)
    assert whole(redis_server) == b""
    short.keep(4, [Done()])
    # It is over, so it need not wait; and comes in one piece.
    assert await ship(at=began, only_new=True)
    with redis_server.client() as client:
        assert set(client.scan_iter("chuk:stream:*")) == {
            b"chuk:stream:short",
            b"chuk:stream:short:events",
        }
        assert client.xlen("chuk:stream:short:events") == 1
        assert not client.exists("chuk:process:one:streams")
        assert list(streams.shipper.running) == ["turn"]
        # What goes on is there after some hundredths of a second, though it says no more.
        assert await ship(at=asyncio.get_running_loop().time() + 0.025, only_new=True)
        assert client.xlen("chuk:stream:turn:events") == 1
        assert client.smembers("chuk:process:one:streams") == {b"turn"}
    assert streams.shipper.waiting == 0
    await connection.close()


async def test_what_has_begun_is_brought_by_itself(redis_server: RedisServer) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        begin(one)
        async with asyncio.timeout(30), aclosing(two.follow("turn", 0)) as following:
            while await two.find("turn") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            assert (await anext(following))[0] == 1


async def test_one_stream_that_redis_does_not_take_keeps_no_other_out(
    redis_server: RedisServer,
) -> None:
    streams, connection = redis_streams(redis_server, "one")
    with redis_server.client() as client:
        client.set("chuk:stream:bad", "of another kind")
        for stream_id in ("first", "bad", "last"):
            streams.open(stream_id, ADA, MODEL).keep(1, [*BEGINNING, Done()])
        assert not await streams.shipper.ship()
        assert client.xlen("chuk:stream:first:events") == 1
        assert client.xlen("chuk:stream:last:events") == 1
        assert list(streams.shipper.running) == ["bad"]
        assert (streams.shipper.waiting, streams.shipper.refused) == (1, 1)
        client.delete("chuk:stream:bad")
        await streams.shipper.flush()
        assert client.xlen("chuk:stream:bad:events") == 1
    assert (streams.shipper.waiting, streams.shipper.running) == (0, {})
    await connection.close()


async def test_what_redis_does_not_forget_at_once_is_asked_of_it_again(
    redis_server: RedisServer,
) -> None:
    streams, connection = redis_streams(redis_server, "one")
    long = [Started("turn"), Content([b"x" * 14_000]), Done()]
    with redis_server.client() as client:
        for number in range(3):
            streams.open(f"turn{number}", ADA, MODEL).keep(1, long)
        await streams.shipper.flush()
        assert client.exists("chuk:stream:turn0", "chuk:stream:turn2") == 2
        client.execute_command("ACL", "SETUSER", "default", "-unlink")
        streams.open("turn3", ADA, MODEL).keep(1, long)  # for which the first has to go
        await streams.shipper.flush()
        assert client.exists("chuk:stream:turn0", "chuk:stream:turn3") == 2
        assert (streams.shipper.waiting, streams.shipper.refused) == (1, 1)
        client.execute_command("ACL", "SETUSER", "default", "+unlink")
        await streams.shipper.flush()
        assert client.keys("chuk:stream:turn0*") == []
        assert client.zcard(client.keys("chuk:user:*")[0]) == 3
    assert (streams.shipper.waiting, streams.shipper.running) == (0, {})
    await connection.close()


async def test_what_was_erased_while_it_ran_is_forgotten_however_late(
    redis_server: RedisServer,
) -> None:
    streams, connection = redis_streams(redis_server, "one")
    recording = streams.open("turn", ADA, MODEL)
    recording.keep(1, BEGINNING)
    await streams.shipper.flush()
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-unlink")
        with pytest.raises(ServiceUnavailable):
            await streams.erase(ADA)
        recording.keep(4, [Content([b"!"]), Done()])
        await streams.shipper.flush()
        assert client.exists("chuk:stream:turn") == 1
        client.execute_command("ACL", "SETUSER", "default", "+unlink")
        await streams.shipper.flush()
        assert client.keys("chuk:stream:turn*") == []
    assert (streams.shipper.waiting, streams.shipper.running) == (0, {})
    await connection.close()


async def test_what_is_dropped_between_two_rounds_does_not_wait_for_the_next_beat(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one") as streams:
        long = [Started("turn"), Content([b"x" * 14_000]), Done()]
        with redis_server.client() as client:
            # A round that takes long: the next one may bring nothing but what has just begun.
            client.execute_command("CLIENT", "PAUSE", "200")
            for number in range(3):
                streams.open(f"turn{number}", ADA, MODEL).keep(1, long)
            await eventually(lambda: not streams.shipper.running)
            assert client.exists("chuk:stream:turn0") == 1
            streams.open("turn3", ADA, MODEL).keep(1, long)  # for which the first has to go
            await eventually(lambda: client.exists("chuk:stream:turn0") == 0)
            assert client.exists("chuk:stream:turn3") == 1


def whole(server: RedisServer) -> bytes:
    """All that is in Redis: names, fields and values."""
    with server.client() as client:
        parts: list[bytes] = []
        for key in client.scan_iter():
            parts += [key, b"\n", _value(client, key), b"\n"]
        return b"".join(parts)


def _value(client: redis.Redis, key: bytes) -> bytes:
    kind = client.type(key)
    if kind == b"stream":
        entries = client.xrange(key)
        return b"".join(part for _, fields in entries for item in fields.items() for part in item)
    if kind == b"hash":
        return b"".join(part for item in client.hgetall(key).items() for part in item)
    if kind == b"zset":
        return b"".join(client.zrange(key, 0, -1))
    if kind == b"set":
        return b"".join(client.smembers(key))
    return bytes(client.get(key))
