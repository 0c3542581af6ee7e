"""A turn whose client is lost goes on for its grace time, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from uuid import UUID

import pytest
import structlog.testing

from chuk.chat.events import Content, Done, Ended, Opened, TurnEvent, Usage
from chuk.chat.generation import Generation
from chuk.chat.grace import Grace
from chuk.chat.recording import MemoryStreams, StreamBounds
from chuk.errors import ServiceUnavailable
from tests.chat.scripted_turns import (
    PATIENCE,
    Listener,
    OneTurnsLedger,
    ScriptedUpstream,
    a_turn,
    says,
    settle,
)

GRACE = 10.0
OWNER = UUID(int=1)


class LostTurn:
    """A recorded turn that has said `a` and then lost its only listener."""

    def __init__(self, grace: float = GRACE, bound: int = 100_000) -> None:
        self.upstream, self.ledger = ScriptedUpstream(), OneTurnsLedger()
        self.streams = MemoryStreams(StreamBounds(bound, bound, bound, 300))
        self.recording = self.streams.open("turn", OWNER, "maker/model")
        self.listener = Listener()
        self.turn: Generation = a_turn(
            self.upstream,
            self.ledger,
            stream_id="turn",
            recording=self.recording,
            grace=Grace(self.recording, grace, partial(self.streams.is_followed, "turn")),
        )
        self.task = self.turn.begin(self.listener)
        self.lost_at = 0.0

    async def lose(self) -> None:
        """Say something; lose the client."""
        self.upstream.gives([Opened("gen-1", "One"), says("a")])
        await settle()
        self.lost_at = asyncio.get_running_loop().time()
        self.turn.leave(self.listener)

    async def after(self, seconds: float) -> None:
        """The watch looks this long after the loss."""
        self.turn.tick(self.lost_at + seconds)
        await settle()

    @asynccontextmanager
    async def follower(self) -> AsyncIterator[list[TurnEvent]]:
        """Somebody who has come back, and what they heard."""
        heard: list[TurnEvent] = []

        async def follow() -> None:
            async with aclosing(self.streams.follow("turn", 0)) as following:
                async for _, events in following:
                    heard.extend(events)

        task = asyncio.create_task(follow())
        await settle()
        yield heard
        task.cancel()
        await settle()

    async def end(self) -> None:
        """Whatever has become of it: it ends, its books close once, nothing is left."""
        self.upstream.gives([Ended()], None)
        await self.task
        await settle()
        assert self.ledger.ends == {"turn": "settled"}
        assert len(asyncio.all_tasks()) == 1


async def test_a_lost_client_does_not_stop_its_turn() -> None:
    lost = LostTurn()
    await lost.lose()
    await lost.after(GRACE - 0.1)
    assert lost.upstream.is_open
    lost.upstream.gives([says("b"), Ended()], None)
    await lost.task
    async with lost.follower() as heard:
        assert [event for event in heard if isinstance(event, Content)] == [Content([b"a", b"b"])]
        assert isinstance(heard[-1], Done)
    await lost.end()


async def test_when_the_grace_time_is_over_the_turn_stops_and_its_books_close() -> None:
    lost = LostTurn()
    await lost.lose()
    await lost.after(GRACE + 0.1)
    assert not lost.upstream.is_open
    await lost.task
    async with lost.follower() as heard:
        (usage,) = [event for event in heard if isinstance(event, Usage)]
        assert usage.finish_reason == "cancelled" and isinstance(heard[-1], Done)
    await lost.end()


async def test_the_watch_looks_often_and_asks_seldom() -> None:
    lost = LostTurn()
    asked = 0
    is_followed = lost.streams.is_followed

    async def counted(stream_id: str) -> bool:
        nonlocal asked
        asked += 1
        return await is_followed(stream_id)

    grace = Grace(lost.recording, GRACE, lambda: counted("turn"))
    ended: list[bool] = []
    grace.begin(0.0, lambda: ended.append(True))
    for tenth in range(100):
        grace.tick(tenth / 10, lambda: ended.append(True))
        await settle()
    assert asked <= 4 and not ended
    grace.tick(GRACE, lambda: ended.append(True))
    await settle()
    assert ended
    await lost.lose()
    await lost.end()


async def test_whoever_comes_back_has_all_the_time() -> None:
    lost = LostTurn()
    await lost.lose()
    async with lost.follower() as heard:
        for seconds in range(0, 45, 3):
            await lost.after(seconds)
        assert lost.upstream.is_open
        lost.upstream.gives([says("b")])
        await settle()
        assert heard[-1] == Content([b"b"])
    # From now on the grace time counts anew.
    await lost.after(45)
    await lost.after(45 + GRACE - 0.1)
    assert lost.upstream.is_open
    await lost.after(45 + GRACE)
    assert not lost.upstream.is_open
    await lost.end()


async def test_a_follower_who_stays_keeps_the_turn_when_the_first_client_leaves() -> None:
    lost = LostTurn(grace=0)
    lost.upstream.gives([Opened("gen-1", "One"), says("a")])
    await settle()
    async with lost.follower():
        lost.turn.leave(lost.listener)
        await settle()
        lost.lost_at = asyncio.get_running_loop().time()
        await lost.after(1)
        assert lost.upstream.is_open
    await lost.after(2)
    await lost.after(3)
    assert not lost.upstream.is_open
    await lost.end()


async def test_without_a_grace_time_a_recorded_turn_stops_as_any_other() -> None:
    lost = LostTurn(grace=0)
    await lost.lose()
    await settle()
    assert not lost.upstream.is_open
    await lost.end()


@pytest.mark.parametrize("is_lost_first", [True, False])
async def test_what_cannot_be_read_again_need_not_go_on(is_lost_first: bool) -> None:
    lost = LostTurn(bound=4_000)
    if is_lost_first:
        await lost.lose()
    lost.upstream.gives([says("x" * 5_000)])
    await settle()
    assert not lost.recording.is_whole and lost.upstream.is_open
    if is_lost_first:
        await lost.after(0.1)
    else:
        await lost.lose()
        await settle()
    assert not lost.upstream.is_open
    await lost.end()


async def test_a_listener_who_stays_does_not_notice_that_nothing_is_kept() -> None:
    lost = LostTurn(bound=4_000)
    lost.upstream.gives([Opened("gen-1", "One"), says("x" * 5_000), says("b"), Ended()], None)
    await lost.task
    assert lost.listener.kinds() == [
        "Started",
        "Meta",
        "Content",
        "Content",
        "Usage",
        "Speed",
        "Done",
    ]
    await lost.end()


async def test_a_turn_in_its_grace_time_is_stopped_like_any_other() -> None:
    for ending in (Done(), ServiceUnavailable()):
        lost = LostTurn()
        await lost.lose()
        lost.turn.stop(ending)
        await lost.task
        assert not lost.upstream.is_open
        await lost.after(GRACE + 1)
        await lost.end()


async def test_a_store_that_fails_is_no_follower() -> None:
    lost = LostTurn()

    async def fails() -> bool:
        raise RuntimeError("away")

    ended: list[bool] = []
    grace = Grace(lost.recording, GRACE, fails)
    with structlog.testing.capture_logs() as logs:
        grace.begin(0.0, lambda: ended.append(True))
        grace.tick(GRACE, lambda: ended.append(True))
        await settle()
    assert ended and [line["error"] for line in logs] == ["RuntimeError"]
    await lost.lose()
    await lost.end()


async def test_silence_and_timeouts_are_looked_after_in_the_grace_time_too() -> None:
    lost = LostTurn(grace=600)
    await lost.lose()
    await lost.after(PATIENCE.between_reads + 1)
    assert not lost.upstream.is_open
    await lost.end()
