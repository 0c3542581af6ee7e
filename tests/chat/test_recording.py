"""What this process's memory keeps of answers: how much, for how long, and what gives way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from uuid import UUID

import pytest
import structlog.testing

from chuk.chat.events import Content, Done, Started, TurnEvent
from chuk.chat.ports import Kept
from chuk.chat.recording import MemoryRecording, MemoryStreams, StreamBounds
from chuk.errors import NotFound, StreamInterrupted
from tests.chat.scripted_turns import settle

ADA, BOB = UUID(int=1), UUID(int=2)
MODEL = "maker/model"
BOUNDS = StreamBounds(stream=10_000, user=30_000, total=50_000, keep=300)
FILLING = Content([b"x" * 6_000])


class Moment:
    """A time that stands still until it is moved; seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def streams(time: Moment | None = None) -> MemoryStreams:
    """An empty store."""
    return MemoryStreams(BOUNDS, time=time or Moment())


def begun(store: MemoryStreams, name: str, owner: UUID = ADA, **options: float) -> MemoryRecording:
    """A turn that has said something."""
    recording = store.open(name, owner, MODEL, **options)
    recording.keep(1, [Started(name), FILLING])
    return recording


def over(store: MemoryStreams, name: str, owner: UUID = ADA, **options: float) -> MemoryRecording:
    """The same, and has ended."""
    recording = begun(store, name, owner, **options)
    recording.keep(3, [Done()])
    return recording


async def names(store: MemoryStreams, *owners: UUID) -> set[str]:
    """Which answers are left."""
    return {facts.id for owner in owners or (ADA, BOB) for facts in await store.of(owner)}


async def read(store: MemoryStreams, name: str) -> Sequence[TurnEvent]:
    """All of an answer that is over."""
    events: list[TurnEvent] = []
    async with aclosing(store.follow(name, 0)) as following:
        async for _, part in following:
            events += part
    return events


async def test_it_is_forgotten_when_its_time_is_over() -> None:
    time = Moment()
    store = streams(time)
    over(store, "usual")
    over(store, "longer", keep=3_600)
    begun(store, "running")
    time.now += 299
    await store.tick(time.now)
    assert await names(store) == {"usual", "longer", "running"}
    time.now += 1
    # Nobody has looked yet, but its time is over.
    assert await store.find("usual") is None and "usual" not in await names(store)
    with pytest.raises(NotFound):
        await read(store, "usual")
    await store.tick(time.now)
    assert await names(store) == {"longer", "running"}
    time.now += 3_300
    await store.tick(time.now)
    assert await names(store) == {"running"}
    assert store.dropped == 0


async def test_nothing_is_left_of_what_is_forgotten() -> None:
    time = Moment()
    store = streams(time)
    for name in ("a", "b", "c"):
        over(store, name)
    assert store.size > 18_000
    time.now += 300
    await store.tick(time.now)
    assert store.size == 0 and await names(store) == set()


async def test_whoever_reads_when_its_time_is_over_reads_on() -> None:
    time = Moment()
    store = streams(time)
    recording = store.open("turn", ADA, MODEL)
    recording.keep(1, [Started("turn")])
    for number in range(2, 6):
        recording.keep(number, [Content([b"x" * 2_000])])
    recording.keep(6, [Done()])
    async with aclosing(store.follow("turn", 0)) as following:
        parts: list[Kept] = [await anext(following)]
        time.now += 1_000
        await store.tick(time.now)
        parts += [part async for part in following]
    assert isinstance(parts[-1][1][-1], Done)


async def test_a_users_oldest_finished_answers_give_way_to_the_next() -> None:
    store = streams()
    begun(store, "running")
    over(store, "old")
    over(store, "newer")
    over(store, "bobs", BOB)
    over(store, "newest")
    assert await names(store) == {"running", "newer", "newest", "bobs"}
    assert store.dropped == 1


async def test_where_none_is_over_the_one_that_asks_for_more_gives_way() -> None:
    store = streams()
    recordings = [begun(store, f"turn{number}") for number in range(4)]
    assert [recording.is_whole for recording in recordings] == [True, True, True, False]
    assert await names(store) == {"turn0", "turn1", "turn2"}
    # It may say what it likes: nothing is kept of it.
    recordings[3].keep(3, [FILLING, Done()])
    assert await store.find("turn3") is None
    assert store.dropped == 1


async def test_everybodys_oldest_finished_answer_gives_way_when_all_is_full() -> None:
    time = Moment()
    store = streams(time)
    for number in range(9):
        time.now += 1
        over(store, f"turn{number}", UUID(int=number + 1), keep=300 + number % 2)
    left = {name for number in range(9) for name in await names(store, UUID(int=number + 1))}
    assert 0 < store.dropped == 9 - len(left)
    assert left == {f"turn{number}" for number in range(9 - len(left), 9)}
    assert store.size <= BOUNDS.total


async def test_what_is_dropped_is_counted_and_logged_once() -> None:
    store = streams()
    recording = begun(store, "turn")
    with structlog.testing.capture_logs() as logs:
        recording.keep(3, [FILLING])
        recording.keep(4, [FILLING])
        for _ in range(2):
            await store.tick(0.0)
    (line,) = logs
    assert line["part"] == "streams" and line["count"] == 1 and store.dropped == 1
    assert not recording.is_whole and store.size == 0


async def test_whoever_follows_what_is_dropped_is_told_so() -> None:
    store = streams()
    recording = begun(store, "turn")
    async with aclosing(store.follow("turn", 0)) as following:
        assert (await anext(following))[1] == [Started("turn"), FILLING]
        coming = asyncio.ensure_future(anext(following))
        await settle()
        recording.keep(3, [FILLING])
        with pytest.raises(StreamInterrupted):
            await coming


async def test_a_name_that_is_used_again_stands_for_the_newer_turn() -> None:
    store = streams()
    older = begun(store, "turn")
    newer = begun(store, "turn", BOB)
    assert not older.is_whole and newer.is_whole
    older.keep(3, [FILLING])
    assert await names(store, ADA) == set() and await names(store, BOB) == {"turn"}
    assert store.dropped == 0


async def test_followers_wait_each_for_themselves() -> None:
    store = streams()
    recording = begun(store, "turn")
    gone = asyncio.create_task(read(store, "turn"))
    stays = asyncio.create_task(read(store, "turn"))
    await settle()
    assert recording.followers == 2
    gone.cancel()
    await settle()
    assert recording.followers == 1
    recording.keep(3, [Done()])
    assert await stays == [Started("turn"), FILLING, Done()]
    assert gone.cancelled() and not await store.is_followed("turn")
