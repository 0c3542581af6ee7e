"""Answers in Redis: whole after every outage, and ended for processes that died."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing

import pytest

from chuk.adapters.redis.streams import RedisStreams
from chuk.chat.events import Content, Done, Failed, Started, TurnEvent
from chuk.chat.ports import StreamState
from chuk.chat.recording import StreamBounds
from chuk.errors import ServiceUnavailable, StreamInterrupted
from tests.contracts.kept_streams import next_told, running, seen, told
from tests.contracts.stores import ADA, MODEL
from tests.harness import eventually
from tests.redis_server import RedisServer

# Short enough to be awaited; the beats of who lives are three times as frequent.
SOON = 0.15
# Where nobody is to look dead: whoever starves on a busy machine proves its life late.
IN_A_WHILE = 0.6
BEGINNING: list[TurnEvent] = [Started("turn"), Content([b"Hel", b"lo"])]
INTERRUPTED = (4, seen([(4, [Failed(StreamInterrupted())])])[0][1])


def begin(streams: RedisStreams, stream_id: str = "turn") -> None:
    """Begin an answer of which three events are told."""
    streams.open(stream_id, ADA, MODEL).keep(1, BEGINNING)


async def test_the_end_of_a_dead_process_is_written_once_and_seen_by_all(
    redis_server: RedisServer,
) -> None:
    async with AsyncExitStack() as stack:
        everybody = [
            await stack.enter_async_context(running(redis_server, name, lease=SOON))
            for name in ("dead", "one", "two", "three")
        ]
        dead, *others = everybody
        begin(dead)
        begin(dead, "unheard")
        await dead.shipper.flush()
        hearing = [asyncio.create_task(told(each, "turn")) for each in others]
        await die(dead)
        for heard in await asyncio.gather(*hearing):
            assert heard == [*seen([(1, BEGINNING)]), INTERRUPTED]
        # Nobody followed it: whoever leads has ended it.
        assert (await told(others[0], "unheard", 3)) == [INTERRUPTED]
        facts = await others[0].find("unheard")
        assert facts is not None
        assert (facts.state, facts.last_event) == (StreamState.FAILED, 4)
        assert sum(each.lives.interrupted for each in others) == 2
        with redis_server.client() as client:
            assert len(client.xrange("chuk:stream:turn:events")) == 2
            assert 0 < client.ttl("chuk:stream:turn:events") <= 300


async def test_a_process_that_only_seemed_dead_adds_nothing_after_its_end(
    redis_server: RedisServer,
) -> None:
    async with (
        running(redis_server, "silent", lease=SOON) as silent,
        running(redis_server, "other", lease=SOON) as other,
    ):
        recording = silent.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await die(silent)
        ended = await told(other, "turn")
        recording.keep(4, [Content([b"!"]), Done()])
        await silent.shipper.flush()
        await silent.shipper.flush()
        assert silent.shipper.shut_out == 1
        assert await told(other, "turn") == ended
        # Its own clients hear the truth.
        assert (await told(silent, "turn", 3)) == seen([(4, [Content([b"!"]), Done()])])


async def test_who_lives_is_not_ended(redis_server: RedisServer) -> None:
    async with (
        running(redis_server, "one", lease=SOON) as one,
        running(redis_server, "two", lease=SOON) as two,
    ):
        begin(one)
        await one.shipper.flush()
        for _ in range(5):
            await two.lives.beat()
        assert two.lives.interrupted == 0
        with redis_server.client() as client:
            client.delete("chuk:process:one")
        # It was missing for a moment: after an outage of Redis, say.
        await two.lives.beat()
        await one.lives.beat()
        await two.lives.beat()
        facts = await two.find("turn")
        assert facts is not None and facts.state is StreamState.RUNNING


async def test_an_outage_of_redis_costs_nothing_but_the_way_across(
    redis_server: RedisServer,
) -> None:
    async with (
        running(redis_server, "one", lease=IN_A_WHILE) as one,
        running(redis_server, "two", lease=IN_A_WHILE, patience=0) as two,
    ):
        recording = one.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await one.shipper.flush()
        redis_server.stop()
        for number in range(4, 504):
            recording.keep(number, [Content([b"%d " % number])])
            await asyncio.sleep(0)
        # One look for each stream waits, not one for each event.
        assert one.shipper.waiting == 1
        assert await one.is_followed("turn")
        for call in (two.find("turn"), told(two, "turn"), two.stop("turn"), two.erase(ADA)):
            with pytest.raises(ServiceUnavailable):
                await call
        assert await two.of(ADA) == []
        assert [facts.id for facts in await one.of(ADA)] == ["turn"]
        async with aclosing(one.follow("turn", 0)) as at_home:
            assert len(await next_told(at_home, 503)) == 503
        redis_server.start()
        recording.keep(504, [Done()])
        await known(two, StreamState.DONE)
        assert await told(two, "turn") == await told(one, "turn")


async def test_who_follows_from_elsewhere_goes_on_after_an_outage(
    redis_server: RedisServer,
) -> None:
    async with (
        running(redis_server, "one", lease=IN_A_WHILE) as one,
        running(redis_server, "two", lease=IN_A_WHILE) as two,
    ):
        recording = one.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await one.shipper.flush()
        async with aclosing(two.follow("turn", 0)) as following:
            arrived = await next_told(following, 3)
            redis_server.stop()
            recording.keep(4, [Content([b"a", b"b"])])
            redis_server.start()
            recording.keep(6, [Content([b"c"])])
            arrived += await next_told(following, 3)
            recording.keep(7, [Done()])
            arrived += await next_told(following, 1)
        assert arrived == await told(one, "turn")
        assert two.lives.interrupted == 0


async def test_what_may_or_may_not_have_arrived_is_there_once(redis_server: RedisServer) -> None:
    async with (
        running(redis_server, "one", lease=IN_A_WHILE, timeout=0.1) as one,
        running(redis_server, "two", lease=60) as two,
    ):
        recording = one.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await one.shipper.flush()
        number = 4
        for _ in range(3):
            # It reads what was sent when it wakes, long after nobody waits for its answer.
            redis_server.freeze()
            recording.keep(number, [Content([b"%d" % number])])
            assert not await one.shipper.ship()
            recording.keep(number + 1, [Content([b"%d" % number])])
            redis_server.thaw()
            number += 2
            await eventually(lambda: not one.is_away)
        recording.keep(number, [Done()])
        await known(two, StreamState.DONE)
        assert await told(two, "turn") == await told(one, "turn")


async def die(streams: RedisStreams) -> None:
    """Do nothing any more, without leaving: as a process that was killed."""
    await streams.shipper.flush()
    await streams.lives.stop()


async def known(streams: RedisStreams, state: StreamState) -> None:
    """Wait until the turn is known from elsewhere, and as far as this."""
    async with asyncio.timeout(30):
        while True:
            try:
                facts = await streams.find("turn")
                if facts is not None and facts.state is state:
                    return
            except ServiceUnavailable:
                pass
            await asyncio.sleep(0.005)


async def test_who_stops_in_the_middle_of_bringing_leaves_nothing_behind(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "two") as two:
        for steps in range(12):
            ids = [f"turn{steps}x{number}" for number in range(40)]
            async with running(redis_server, f"one{steps}") as one:
                for stream_id in ids:
                    one.open(stream_id, ADA, MODEL).keep(1, [Started(stream_id), Done()])
                for _ in range(steps):
                    await asyncio.sleep(0)
            found = [await two.find(stream_id) for stream_id in ids]
            assert {facts and facts.state for facts in found} == {StreamState.DONE}


async def test_what_was_brought_anew_while_it_was_erased_is_erased_as_well(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        recording = one.open("turn", ADA, MODEL)
        recording.keep(1, BEGINNING)
        await one.shipper.flush()
        # It does not hear yet what it is asked.
        await one.followers.close()
        await two.erase(ADA)
        recording.keep(4, [Done()])
        await one.shipper.flush()
        await known(two, StreamState.DONE)
        one.followers.start()
        async with asyncio.timeout(30):
            while await two.find("turn") is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_an_outage_is_not_where_answers_are_kept_for_ever(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one", timeout=0.2) as one:
        redis_server.stop()
        for number in range(20):
            # Over a minute after they were forgotten here, as far as anybody can tell.
            recording = one.open(f"old{number}", ADA, MODEL, keep=-60.0)
            recording.keep(1, [Started("old"), Done()])
        begin(one)
        await one.shipper.ship()
        assert list(one.shipper.running) == ["turn"] and one.shipper.waiting == 1
        redis_server.start()
        await eventually(lambda: not one.is_away)
        await one.shipper.flush()
        with redis_server.client() as client:
            assert set(client.scan_iter("chuk:stream:*:events")) == {b"chuk:stream:turn:events"}


async def test_what_cannot_be_put_into_words_keeps_nothing_else_from_redis(
    redis_server: RedisServer,
) -> None:
    bounds = StreamBounds(stream=20_000, user=200_000, total=200_000, keep=300.0)
    async with (
        running(redis_server, "one", bounds=bounds) as one,
        running(redis_server, "two") as two,
    ):
        for number in range(20):
            begin(one, f"turn{number}")
        unspeakable = ServiceUnavailable()
        unspeakable.details["reason"] = object()
        one.open("bad", ADA, MODEL).keep(1, [Started("bad"), Failed(unspeakable)])
        begin(one, "last")
        await one.shipper.flush()
        assert {facts.id for facts in await two.of(ADA)} == {
            *(f"turn{number}" for number in range(20)),
            "last",
        }
        assert one.shipper.waiting == 0


async def test_what_runs_is_found_from_elsewhere_after_redis_came_back_empty(
    redis_server: RedisServer,
) -> None:
    async with running(redis_server, "one") as one, running(redis_server, "two") as two:
        begin(one)
        await one.shipper.flush()
        redis_server.stop()
        await eventually(lambda: one.is_away and two.is_away)
        redis_server.start()
        await eventually(lambda: not (one.is_away or two.is_away))
        # It says nothing more for now; and whoever asks at once is not told that it is gone.
        finding = asyncio.create_task(two.find("turn"))
        await one.lives.beat()
        facts = await finding
        assert facts is not None and (facts.state, facts.last_event) == (StreamState.RUNNING, 3)
        assert await two.find("no such id, and none that could be one") is None
