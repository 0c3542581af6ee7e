"""Who fails again and again is left alone for a while, and comes back by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.breakers import BreakerRules, Breakers, BreakerState, Permit, Target

ONE = Target("openrouter", "one/fp8", "maker/model")
RULES = BreakerRules(failures=3, error_rate=0.5, samples=10, pause=30.0, longest_pause=100.0)


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(RULES, clock=clock)


def entered(breakers: Breakers) -> Permit:
    """Leave to ask, which must be given."""
    permit = breakers.enter(ONE)
    assert isinstance(permit, Permit)
    return permit


def wait(breakers: Breakers) -> float:
    """How long nobody may be asked, which must be so."""
    seconds = breakers.enter(ONE)
    assert isinstance(seconds, float)
    return seconds


def opened(breakers: Breakers, pause: float | None = None) -> None:
    """Fail as often as it takes."""
    for _ in range(RULES.failures):
        entered(breakers).failed(pause)


def state(breakers: Breakers) -> BreakerState:
    (facts,) = breakers.facts()
    return facts.state


def test_it_opens_after_some_failures_in_a_row(breakers: Breakers, clock: Clock) -> None:
    opened(breakers)
    assert wait(breakers) == 30.0
    clock.now += 10
    assert wait(breakers) == 20.0
    (facts,) = breakers.facts()
    assert (facts.target, facts.state, facts.retry_after) == (ONE, BreakerState.OPEN, 20.0)
    assert (facts.successes, facts.failures, facts.times_opened) == (0, 3, 1)


def test_a_success_in_between_begins_the_count_anew(breakers: Breakers) -> None:
    for _ in range(2):
        entered(breakers).failed()
        entered(breakers).failed()
        entered(breakers).succeeded()
        entered(breakers).succeeded()
    assert state(breakers) is BreakerState.CLOSED


def test_it_opens_when_too_many_of_the_latest_fail_though_never_in_a_row(
    breakers: Breakers,
) -> None:
    for number in range(RULES.samples - 1):
        permit = entered(breakers)
        permit.failed() if number % 2 else permit.succeeded()
    assert state(breakers) is BreakerState.CLOSED
    entered(breakers).failed()
    assert state(breakers) is BreakerState.OPEN


def test_after_the_pause_exactly_one_may_try(breakers: Breakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += 30
    probe = entered(breakers)
    assert wait(breakers) == 1.0
    assert state(breakers) is BreakerState.HALF_OPEN
    probe.succeeded()
    assert state(breakers) is BreakerState.CLOSED
    entered(breakers).failed()
    assert state(breakers) is BreakerState.CLOSED


def test_a_try_closes_it_as_soon_as_its_answer_begins(breakers: Breakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += 30
    entered(breakers).answers()
    assert state(breakers) is BreakerState.CLOSED


def test_a_try_that_fails_doubles_the_pause_up_to_the_longest(
    breakers: Breakers, clock: Clock
) -> None:
    opened(breakers)
    clock.now += 30
    for expected in (60.0, 100.0, 100.0):
        entered(breakers).failed()
        assert wait(breakers) == expected
        clock.now += expected
    entered(breakers).succeeded()
    opened(breakers)
    assert wait(breakers) == 30.0


def test_a_try_that_says_nothing_lets_the_next_one_try(breakers: Breakers, clock: Clock) -> None:
    opened(breakers)
    clock.now += 30
    entered(breakers).left()
    entered(breakers).succeeded()
    assert state(breakers) is BreakerState.CLOSED


def test_a_try_that_goes_on_without_a_word_keeps_nobody_out_for_long(
    breakers: Breakers, clock: Clock
) -> None:
    opened(breakers)
    clock.now += 30
    thinks_for_minutes = entered(breakers)
    clock.now += RULES.slow_first_byte - 1
    assert wait(breakers) == 1.0
    clock.now += 1
    other = entered(breakers)
    assert wait(breakers) == 1.0
    # Its end is not the other one's.
    thinks_for_minutes.left()
    assert wait(breakers) == 1.0
    other.answers()
    assert state(breakers) is BreakerState.CLOSED


def test_upstreams_own_wait_counts_within_bounds(breakers: Breakers, clock: Clock) -> None:
    opened(breakers, pause=50.0)
    assert wait(breakers) == 50.0
    clock.now += 50
    entered(breakers).failed(86_400.0)
    assert wait(breakers) == 100.0


def test_what_began_before_it_opened_neither_closes_it_nor_keeps_it_open(
    breakers: Breakers, clock: Clock
) -> None:
    early, other = entered(breakers), entered(breakers)
    opened(breakers)
    early.succeeded()
    assert state(breakers) is BreakerState.OPEN
    clock.now += 20
    other.failed()
    assert wait(breakers) == 10.0


def test_an_attempt_is_judged_once(breakers: Breakers) -> None:
    permit = entered(breakers)
    for _ in range(5):
        permit.failed()
    permit.succeeded()
    (facts,) = breakers.facts()
    assert (facts.successes, facts.failures) == (0, 1)


def test_one_provider_says_nothing_about_another(breakers: Breakers) -> None:
    opened(breakers)
    for other in (
        Target("openrouter", "one/bf16", "maker/model"),
        Target("openrouter", "one/fp8", "maker/other"),
        Target("mine", "one/fp8", "maker/model"),
    ):
        assert isinstance(breakers.enter(other), Permit)


def test_memory_is_bounded_and_the_longest_unused_is_forgotten(breakers: Breakers) -> None:
    opened(breakers)
    for number in range(5_000):
        breakers.enter(Target("openrouter", "p", f"m/{number}"))
    facts = breakers.facts()
    assert len(facts) == 4_096
    assert facts[-1].target.model == "m/4999"
    assert all(each.target != ONE for each in facts)


@given(st.lists(st.sampled_from(["failed", "succeeded", "left", "wait"]), max_size=80))
def test_whatever_happens_it_can_be_asked_again_within_the_longest_pause(steps: list[str]) -> None:
    clock = Clock()
    breakers = Breakers(RULES, clock=clock)
    for step in steps:
        permit = breakers.enter(ONE)
        if step == "wait":
            clock.now += 7
        elif isinstance(permit, Permit):
            getattr(permit, step)()
            continue
        if isinstance(permit, Permit):
            permit.left()
    clock.now += RULES.longest_pause
    assert isinstance(breakers.enter(ONE), Permit)
