"""How fast a provider is: what it did lately counts most, and what says nothing not at all."""

from __future__ import annotations

import pytest

from chuk.chat.breakers import Target
from chuk.chat.throughput import Throughput

ONE = Target("openrouter", "one", "maker/model")


def test_the_first_answer_is_the_average() -> None:
    measured = Throughput()
    assert measured.of(ONE) is None
    measured.note(ONE, 100, 2.0)
    assert measured.of(ONE) == 50.0


def test_old_answers_fade() -> None:
    measured = Throughput()
    measured.note(ONE, 100, 1.0)
    for _ in range(30):
        measured.note(ONE, 100, 10.0)
    assert measured.of(ONE) == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize(("tokens", "seconds"), [(3, 1.0), (0, 0.0), (-1, 1.0), (100, 0.001)])
def test_what_is_too_short_says_nothing(tokens: int, seconds: float) -> None:
    measured = Throughput()
    measured.note(ONE, tokens, seconds)
    assert measured.of(ONE) is None


def test_memory_is_bounded() -> None:
    measured = Throughput()
    for number in range(5_000):
        measured.note(Target("o", "p", f"m/{number}"), 100, 1.0)
    assert measured.of(Target("o", "p", "m/0")) is None
    assert measured.of(Target("o", "p", "m/4999")) == 100.0
