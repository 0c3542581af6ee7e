"""What is kept of answers, and how it is read again. `StreamStore`, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from random import Random
from uuid import uuid4

import pytest

from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Meta,
    Reasoning,
    Speed,
    Started,
    TurnEvent,
    count_events,
)
from chuk.chat.ports import Recording, StreamState
from chuk.errors import InsufficientCredits, NotFound, StreamInterrupted
from tests.contracts.kept_streams import (
    BOUNDS,
    STORES,
    KeptStreams,
    answer,
    next_told,
    seen,
    told,
)
from tests.contracts.stores import ADA, BOB, MODEL
from tests.harness import eventually
from tests.redis_server import RedisServer

WHOLE: list[TurnEvent] = [
    Started("turn"),
    Meta(MODEL, "groq", free_message=False),
    Reasoning([b"Let", b" me", b" see"]),
    Content([b"Hel", b"lo"]),
    Content([b" \\u00e9\\n"]),
    Meta(MODEL, "groq", free_message=False),
    Content(["Grüße 🌍".encode(), b"!"]),
    Speed(51.25),
    Done(),
]


@pytest.fixture(params=list(STORES))
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[KeptStreams]:
    """Empty stores of each kind."""

    def server() -> RedisServer:
        found: RedisServer = request.getfixturevalue("redis_server")
        return found

    async with STORES[request.param](server) as streams:
        yield streams


def take_down(recording: Recording, events: list[TurnEvent], first: int = 1) -> int:
    """Keep these one by one, as a turn does; returns the number of the next."""
    for event in events:
        recording.keep(first, [event])
        first += count_events([event])
    return first


async def test_an_answer_is_read_again_as_it_was_told(kept: KeptStreams) -> None:
    take_down(kept.writer.open("turn", ADA, MODEL), WHOLE)
    await kept.shared()
    assert await told(kept.reader, "turn") == seen([(1, WHOLE)])


@pytest.mark.parametrize("after", range(14))
async def test_it_goes_on_after_exactly_the_event_named_and_always_tells_its_end(
    kept: KeptStreams, after: int
) -> None:
    take_down(kept.writer.open("turn", ADA, MODEL), WHOLE)
    await kept.shared()
    every = seen([(1, WHOLE)])
    rest = [(number, shown) for number, shown in every if number > after]
    assert await told(kept.reader, "turn", after) == (rest or every[-1:])


async def test_a_running_answer_is_followed_live_without_gap_or_repeat(kept: KeptStreams) -> None:
    recording = kept.writer.open("turn", ADA, MODEL)
    following = take_down(recording, WHOLE[:4])
    await kept.shared()
    async with aclosing(kept.reader.follow("turn", 4)) as live:
        arrived = await next_told(live, 3)
        for event in WHOLE[4:]:
            following = take_down(recording, [event], following)
            arrived += await next_told(live, count_events([event]))
        with pytest.raises(StopAsyncIteration):
            await anext(live)
    assert arrived == seen([(1, WHOLE)])[4:]


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_comes_back_whenever_hears_the_same(kept: KeptStreams, seed: int) -> None:
    chance = Random(seed)
    words = [b"word%d " % number for number in range(300)]
    recording = kept.writer.open("turn", ADA, MODEL)
    recording.keep(1, [Started("turn")])
    await kept.shared()
    everybody: list[tuple[int, asyncio.Task[list[tuple[int, bytes]]]]] = []
    number = 2
    while words:
        pieces, words = words[: (size := chance.randint(1, 9))], words[size:]
        recording.keep(number, [Content(pieces)])
        number += len(pieces)
        if chance.random() < 0.3:
            after = chance.randrange(number)
            coming = asyncio.create_task(told(kept.reader, "turn", after))
            everybody.append((after, coming))
        await asyncio.sleep(0)
    recording.keep(number, [Done()])
    whole = await told(kept.writer, "turn")
    assert [each for each, _ in whole] == list(range(1, 303))
    for after, coming in everybody:
        assert await coming == whole[after:]


async def test_an_error_is_told_again_as_it_was(kept: KeptStreams) -> None:
    failed = Failed(InsufficientCredits(required=0.02, available=0.01, operation="chat"))
    take_down(kept.writer.open("turn", ADA, MODEL), answer(b"Hel", end=failed))
    await kept.shared()
    assert await told(kept.reader, "turn") == seen([(1, [Content([b"Hel"]), failed])])


async def test_what_is_not_kept_is_not_found(kept: KeptStreams) -> None:
    for unknown in ("unknown", "turn:events", "", "*", "x" * 500):
        assert await kept.reader.find(unknown) is None
        with pytest.raises(NotFound):
            await told(kept.reader, unknown)
        assert not await kept.reader.is_followed(unknown)


async def test_its_facts_say_how_far_it_has_come(kept: KeptStreams) -> None:
    recording = kept.writer.open("turn", ADA, MODEL)
    take_down(recording, WHOLE[:4])
    await kept.shared()
    facts = await kept.reader.find("turn")
    assert facts is not None
    assert (facts.id, facts.owner, facts.model_id) == ("turn", ADA, MODEL)
    assert facts.started_at.utcoffset() is not None
    assert (facts.state, facts.last_event) == (StreamState.RUNNING, 7)
    take_down(recording, WHOLE[4:], 8)
    await kept.shared()
    facts = await kept.reader.find("turn")
    # The end after success has no number to a client.
    assert facts is not None and (facts.state, facts.last_event) == (StreamState.DONE, 12)
    take_down(kept.writer.open("other", ADA, MODEL), answer(b"a", end=Failed(StreamInterrupted())))
    await kept.shared()
    facts = await kept.reader.find("other")
    assert facts is not None and (facts.state, facts.last_event) == (StreamState.FAILED, 2)


async def test_a_user_is_shown_their_own_answers_the_newest_first(kept: KeptStreams) -> None:
    for stream_id, owner in (("a1", ADA), ("b1", BOB), ("a2", ADA), ("a3", ADA)):
        take_down(kept.writer.open(stream_id, owner, MODEL), answer(b"Hello"))
    await kept.shared()
    assert [facts.id for facts in await kept.reader.of(ADA)] == ["a3", "a2", "a1"]
    assert [facts.id for facts in await kept.reader.of(BOB)] == ["b1"]
    assert await kept.reader.of(uuid4()) == []


async def test_who_runs_a_turn_can_tell_whether_anybody_follows_it(kept: KeptStreams) -> None:
    take_down(kept.writer.open("turn", ADA, MODEL), WHOLE[:4])
    await kept.shared()
    assert not await kept.writer.is_followed("turn")
    async with aclosing(kept.reader.follow("turn", 0)) as one:
        await anext(one)
        assert await kept.writer.is_followed("turn")
        async with aclosing(kept.reader.follow("turn", 0)) as other:
            await anext(other)
        assert await kept.writer.is_followed("turn")
    assert not await kept.writer.is_followed("turn")


async def test_a_stop_reaches_the_process_that_runs_the_turn(kept: KeptStreams) -> None:
    stopped: list[str] = []
    kept.writer.heed(stopped.append)
    take_down(kept.writer.open("turn", ADA, MODEL), WHOLE[:4])
    await kept.shared()
    await kept.reader.stop("turn")
    await eventually(lambda: stopped == ["turn"])


async def test_an_erased_user_has_no_answers_left(kept: KeptStreams) -> None:
    over = kept.writer.open("over", ADA, MODEL)
    take_down(over, WHOLE)
    recording = kept.writer.open("running", ADA, MODEL)
    take_down(recording, WHOLE[:4])
    take_down(kept.writer.open("bobs", BOB, MODEL), WHOLE)
    await kept.shared()
    await kept.reader.erase(ADA)
    await eventually(lambda: not recording.is_whole and not over.is_whole)
    # Its turn may not have been stopped yet.
    take_down(recording, WHOLE[4:], 8)
    await kept.shared()
    for stream_id in ("over", "running"):
        for streams in (kept.reader, kept.writer):
            assert await streams.find(stream_id) is None
    assert await kept.reader.of(ADA) == []
    assert await told(kept.reader, "bobs") == seen([(1, WHOLE)])


async def test_an_answer_over_its_bound_is_kept_by_nobody(kept: KeptStreams) -> None:
    recording = kept.writer.open("long", ADA, MODEL)
    number = take_down(recording, WHOLE[:4])
    await kept.shared()
    assert recording.is_whole
    recording.keep(number, [Content([b"x" * BOUNDS.stream])])
    assert not recording.is_whole
    recording.keep(number + 1, [Done()])
    await kept.shared()
    assert await kept.reader.find("long") is None
    assert await kept.reader.of(ADA) == []
    with pytest.raises(NotFound):
        await told(kept.reader, "long")


async def test_a_users_oldest_finished_answers_give_way_to_new_ones(kept: KeptStreams) -> None:
    for number in range(6):
        stream_id = f"turn{number}"
        events = [Started(stream_id), Content([b"x" * 14_000]), Done()]
        kept.writer.open(stream_id, ADA, MODEL).keep(1, events)
        await kept.shared()
    left = [facts.id for facts in await kept.reader.of(ADA)]
    assert 2 <= len(left) <= 4
    assert left == ["turn5", "turn4", "turn3", "turn2"][: len(left)]
    assert await kept.reader.find("turn0") is None
