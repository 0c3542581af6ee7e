"""A turn tells its end exactly once, whoever stops it, and whenever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.events import (
    Done,
    Ended,
    Failed,
    Finished,
    Meta,
    Opened,
    UpstreamUsage,
    Usage,
)
from chuk.errors import ModelUnavailable, ProviderError, ServiceUnavailable
from tests.chat.scripted_turns import (
    PATIENCE,
    Listener,
    OneTurnsLedger,
    PushedUpstream,
    ScriptedUpstream,
    a_turn,
    says,
    settle,
)

OPENED = Opened("gen-1", "One")
SUCCESS = ["Started", "Meta", "Content", "Usage", "Speed", "Done"]


async def test_a_turn_tells_what_upstream_says_and_then_its_end() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    upstream.gives([OPENED], [says("a")], [Finished("stop"), UpstreamUsage(1, 1, 2), Ended()], None)
    await a_turn(upstream).begin(listener)
    assert listener.kinds() == SUCCESS
    assert not upstream.is_open


async def test_a_turn_stopped_before_its_first_step_still_tells_its_end() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    turn.stop(Done())
    await task
    assert listener.kinds() == ["Started", "Usage", "Speed", "Done"]
    (usage,) = [event for event in listener.events if isinstance(event, Usage)]
    assert (usage.total_tokens, usage.cost, usage.finish_reason) == (0, 0, "cancelled")


async def test_a_sign_of_life_never_follows_the_end() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    upstream.gives([OPENED, says("a")])
    await settle()
    # The last read is there, but not yet looked at, when the watch finds the turn silent.
    upstream.gives([Ended()], None)
    turn.tick(asyncio.get_running_loop().time() + PATIENCE.silence)
    await task
    await settle()
    assert listener.kinds()[-3:] == SUCCESS[-3:]


async def test_a_sign_of_life_gives_way_to_what_upstream_says_just_then() -> None:
    upstream, listener = PushedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    await settle()
    listener.may_go_on.clear()
    turn.tick(asyncio.get_running_loop().time() + PATIENCE.silence)
    upstream.pushes([OPENED, says("a")])
    await settle()
    listener.may_go_on.set()
    await settle()
    upstream.pushes([Ended()])
    upstream.ends()
    await task
    assert listener.kinds() == SUCCESS


async def test_a_client_that_the_last_read_finds_gone_does_not_disturb_the_books() -> None:
    upstream, listener, ledger = ScriptedUpstream(), Listener(), OneTurnsLedger()
    listener.gone = True
    turn = a_turn(upstream, ledger)
    upstream.gives([OPENED, says("a"), Finished("stop"), UpstreamUsage(1, 1, 2), Ended()], None)
    await turn.begin(listener)
    assert ledger.ends == {turn.id: "settled"}


async def test_a_silent_upstream_is_covered_and_at_last_given_up() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    await settle()
    now = asyncio.get_running_loop().time()
    turn.tick(now + PATIENCE.silence)
    await settle()
    assert listener.kinds() == ["Started", "Meta"]
    turn.tick(now + PATIENCE.first_byte + 1)
    await task
    assert listener.kinds() == ["Started", "Meta", "Failed"]
    assert not upstream.is_open


async def test_a_slow_listener_is_not_upstreams_fault() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    listener.may_go_on.clear()
    upstream.gives([OPENED, says("a")])
    await settle()
    turn.tick(asyncio.get_running_loop().time() + 10 * PATIENCE.first_byte)
    listener.may_go_on.set()
    upstream.gives([Ended()], None)
    await task
    assert listener.kinds() == SUCCESS


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (lambda turn: turn.stop(Done()), "Done"),
        (lambda turn: turn.stop(ServiceUnavailable()), "Failed"),
    ],
)
@pytest.mark.parametrize("is_slow", [True, False])
async def test_a_turn_may_be_stopped_while_its_listener_is_slow(
    ends: Callable[[object], None], expected: str, is_slow: bool
) -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    if is_slow:
        listener.may_go_on.clear()
    upstream.gives([OPENED, says("a")])
    await settle()
    ends(turn)
    # Whoever comes second changes nothing.
    turn.stop(ModelUnavailable())
    await settle()
    assert not upstream.is_open
    listener.may_go_on.set()
    await task
    assert listener.kinds() == [*SUCCESS[:-1], expected]


async def test_when_nobody_listens_any_more_upstream_stops() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    turn = a_turn(upstream)
    task = turn.begin(listener)
    upstream.gives([OPENED, says("a")])
    await settle()
    turn.leave(listener)
    turn.leave(listener)
    await task
    assert not upstream.is_open
    assert listener.kinds() == SUCCESS[:3]


async def test_a_listener_that_is_gone_is_dropped_and_upstream_stops() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    listener.gone = True
    task = a_turn(upstream).begin(listener)
    upstream.gives([OPENED, says("a")])
    await task
    assert not upstream.is_open and listener.events == []


async def test_what_nobody_foresaw_is_an_internal_error_without_a_word_of_it() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    upstream.gives([OPENED, says("a")], RuntimeError("the text of a prompt"))
    await a_turn(upstream).begin(listener)
    assert listener.kinds() == [*SUCCESS[:-1], "Failed"]
    (failed,) = [event for event in listener.events if isinstance(event, Failed)]
    assert failed.error.code == "INTERNAL_ERROR"
    assert "prompt" not in f"{failed.error.message}{failed.error.details}"


@pytest.mark.parametrize(
    ("said_by", "fallbacks", "slug", "cost"),
    [
        ("One", False, "one/bf16", 6),
        ("Two", False, "one/bf16", 6),
        ("One", True, "one/bf16", 6),
        ("Two", True, "two", 10),
        ("Three", True, "one/bf16", 6),
        (None, True, "one/bf16", 6),
    ],
)
async def test_the_price_is_that_of_whoever_answered(
    said_by: str | None, fallbacks: bool, slug: str, cost: int
) -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    upstream.gives([Opened("gen-1", said_by), says("a"), UpstreamUsage(1, 1, 2), Ended()], None)
    turn = a_turn(upstream, provider_slug="one/bf16", allow_provider_fallbacks=fallbacks)
    await turn.begin(listener)
    meta, usage = (e for e in listener.events if isinstance(e, (Meta, Usage)))
    assert isinstance(meta, Meta) and meta.provider == slug
    assert isinstance(usage, Usage) and usage.cost == cost


async def test_upstreams_own_price_counts_before_the_lists() -> None:
    upstream, listener = ScriptedUpstream(), Listener()
    upstream.gives([says("a"), UpstreamUsage(1, 1, 2, Decimal("0.000123")), Ended()], None)
    await a_turn(upstream).begin(listener)
    (usage,) = [event for event in listener.events if isinstance(event, Usage)]
    assert usage.cost == 123


_READS = st.lists(
    st.sampled_from(
        [
            [OPENED],
            [says("a")],
            [says("b"), says("c")],
            [],
            [UpstreamUsage(1, 1, 2)],
            [Finished("stop")],
        ]
    ),
    max_size=5,
)
_LAST = st.sampled_from([[Ended()], ProviderError(), RuntimeError("odd")])
_STEPS = st.lists(
    st.sampled_from(
        ["read", "cancel", "shut down", "leave", "silence", "timeout", "slow", "fast", "turn"]
    ),
    max_size=14,
)


@given(_READS, _LAST, _STEPS)
def test_whatever_happens_in_whatever_order_there_is_one_end(
    reads: list[list[object]], last: object, steps: list[str]
) -> None:
    asyncio.run(_live(reads, last, steps))


async def _live(reads: list[list[object]], last: object, steps: list[str]) -> None:
    upstream, listener, ledger = ScriptedUpstream(), Listener(), OneTurnsLedger()
    turn = a_turn(upstream, ledger)
    task = turn.begin(listener)
    waiting: list[object] = [*reads, last, None]
    has_left = False
    loop = asyncio.get_running_loop()
    for step in steps:
        match step:
            case "read" if waiting:
                upstream.gives(waiting.pop(0))  # type: ignore[arg-type]
            case "cancel":
                turn.stop(Done())
            case "shut down":
                turn.stop(ServiceUnavailable())
            case "leave":
                turn.leave(listener)
                has_left = True
            case "silence":
                turn.tick(loop.time() + PATIENCE.silence)
            case "timeout":
                turn.tick(loop.time() + PATIENCE.first_byte)
            case "slow":
                listener.may_go_on.clear()
            case "fast":
                listener.may_go_on.set()
            case "turn":
                await settle()
    listener.may_go_on.set()
    upstream.gives(*waiting)  # type: ignore[arg-type]
    await task
    await turn.finished()
    await settle()
    ends = [event for event in listener.events if isinstance(event, (Done, Failed))]
    assert not upstream.is_open
    assert len(asyncio.all_tasks()) == 1
    # Whatever was held was ended, once.
    assert ledger.ends.keys() == ledger.opened
    if has_left:
        assert len(ends) <= 1
    else:
        assert len(ends) == 1 and listener.events[-1] is ends[0]
        assert listener.kinds().count("Started") <= 1
        assert "Started" not in listener.kinds()[1:]
