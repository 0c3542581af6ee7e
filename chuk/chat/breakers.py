"""Circuit breakers: who fails again and again is left alone for a while.

One for each provider of each model, in this process. It opens after some failures in a row, or
when too many of the latest attempts failed; a first byte that comes too late counts as a failure.
After a pause one attempt may try again: its success closes the breaker, its failure opens it for
twice as long, and where it says neither for as long as a first byte may take, another one may try.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chuk.logs import logger

_MOST_BREAKERS = 4_096

_log = logger("routing")


class BreakerState(StrEnum):
    """Whether a provider may be asked."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Target:
    """Who is asked for what: the thing that fails or works."""

    upstream: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens, and for how long. Times are seconds.

    Attributes:
        failures: in a row, that open it.
        error_rate: the share of the latest `samples` attempts that opens it as well.
        slow_first_byte: an attempt that waits longer for its first event has failed.
        pause, longest_pause: until it is tried again; doubled after each try that failed.
    """

    failures: int = 5
    error_rate: float = 0.5
    samples: int = 20
    slow_first_byte: float = 30.0
    pause: float = 30.0
    longest_pause: float = 300.0


@dataclass(frozen=True, slots=True)
class BreakerFacts:
    """One breaker, for operators and clients. `retry_after`: seconds; 0 unless it is open."""

    target: Target
    state: BreakerState
    retry_after: float
    successes: int
    failures: int
    times_opened: int


class _Breaker:
    __slots__ = (
        "_clock",
        "_in_a_row",
        "_latest",
        "_pause",
        "_probed_at",
        "_retry_at",
        "_rules",
        "failures",
        "probe",
        "state",
        "successes",
        "target",
        "times_opened",
    )

    def __init__(self, target: Target, rules: BreakerRules, clock: Callable[[], float]) -> None:
        self.target = target
        self.state = BreakerState.CLOSED
        self.successes = self.failures = self.times_opened = 0
        self.probe: Permit | None = None
        self._probed_at = 0.0
        self._rules = rules
        self._clock = clock
        self._in_a_row = 0
        self._latest: deque[bool] = deque(maxlen=rules.samples)
        self._pause = rules.pause
        self._retry_at = 0.0

    def enter(self) -> Permit | float:
        if self.state is BreakerState.CLOSED:
            return Permit(self)
        if (wait := self.wait()) > 0:
            return wait
        self.state = BreakerState.HALF_OPEN
        now = self._clock()
        if self.probe is not None and now - self._probed_at < self._rules.slow_first_byte:
            # One at a time; how it ends is known soon.
            return 1.0
        self._probed_at = now
        self.probe = Permit(self, is_probe=True)
        return self.probe

    def wait(self) -> float:
        is_open = self.state is BreakerState.OPEN
        return max(0.0, self._retry_at - self._clock()) if is_open else 0.0

    def note_success(self) -> None:
        self.successes += 1
        self._in_a_row = 0
        self._latest.append(True)
        # Of an attempt that began before it opened, an open breaker learns nothing new.
        if self.state is BreakerState.HALF_OPEN:
            self.state = BreakerState.CLOSED
            self._pause = self._rules.pause
            self._latest.clear()
            _log.info("breaker_closed", **self._named())

    def note_failure(self, pause: float | None) -> None:
        self.failures += 1
        self._in_a_row += 1
        self._latest.append(False)
        if self.state is BreakerState.HALF_OPEN:
            self._pause = min(self._pause * 2, self._rules.longest_pause)
            self._open(pause)
        elif self.state is BreakerState.CLOSED and self._is_enough():
            self._open(pause)

    def _is_enough(self) -> bool:
        if self._in_a_row >= self._rules.failures:
            return True
        is_full = len(self._latest) == self._rules.samples
        return is_full and self._latest.count(False) >= self._rules.error_rate * len(self._latest)

    def _open(self, pause: float | None) -> None:
        seconds = max(self._pause, min(pause or 0.0, self._rules.longest_pause))
        self.state = BreakerState.OPEN
        self._retry_at = self._clock() + seconds
        self.probe = None
        self._in_a_row = 0
        self._latest.clear()
        self.times_opened += 1
        _log.warning("breaker_opened", seconds=round(seconds, 1), **self._named())

    def _named(self) -> dict[str, str]:
        target = self.target
        return {"upstream": target.upstream, "provider": target.provider, "model": target.model}


class Permit:
    """Leave to make one attempt. What became of it is told once; anything later is ignored.

    Without a breaker nobody minds what became of it.
    """

    __slots__ = ("_breaker", "_is_probe")

    def __init__(self, breaker: _Breaker | None = None, *, is_probe: bool = False) -> None:
        self._breaker = breaker
        self._is_probe = is_probe

    def answers(self) -> None:
        """The answer has begun, in time. It may take minutes: a try need not wait for its end."""
        if self._is_probe:
            self.succeeded()

    def succeeded(self) -> None:
        """The attempt came to its end."""
        if (breaker := self._told()) is not None:
            breaker.note_success()

    def failed(self, pause: float | None = None) -> None:
        """It failed, and not by its user's fault; `pause`: seconds that upstream asked for."""
        if (breaker := self._told()) is not None:
            breaker.note_failure(pause)

    def left(self) -> None:
        """It says nothing about the provider: cancelled, or refused for what was asked."""
        self._told()

    def _told(self) -> _Breaker | None:
        """The breaker, for the first who asks."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None and breaker.probe is self:
            breaker.probe = None
        return breaker


class Breakers:
    """Every breaker of this process.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, rules: BreakerRules, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.rules = rules
        self._clock = clock
        self._breakers: OrderedDict[Target, _Breaker] = OrderedDict()

    def enter(self, target: Target) -> Permit | float:
        """Leave to ask this target now, or the seconds after which it may be asked again."""
        breaker = self._breakers.get(target)
        if breaker is None:
            breaker = self._made(target)
        else:
            self._breakers.move_to_end(target)
        return breaker.enter()

    def facts(self) -> list[BreakerFacts]:
        """Everybody who was asked since the start, the latest last."""
        return [
            BreakerFacts(
                target=each.target,
                state=each.state,
                retry_after=each.wait(),
                successes=each.successes,
                failures=each.failures,
                times_opened=each.times_opened,
            )
            for each in self._breakers.values()
        ]

    def _made(self, target: Target) -> _Breaker:
        while len(self._breakers) >= _MOST_BREAKERS:
            self._breakers.popitem(last=False)
        breaker = self._breakers[target] = _Breaker(target, self.rules, self._clock)
        return breaker
