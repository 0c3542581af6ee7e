"""Plain counts, and the families made of them."""

from __future__ import annotations

import pytest

from chuk.counts import OTHER, Counts, Spread, Spreads
from chuk.metrics.collector import exposition
from chuk.metrics.families import counters, spreads


def test_what_is_one_word_too_many_is_counted_together() -> None:
    counts = Counts(most=2)
    for number in range(5):
        counts.add(str(number), "x")
    assert dict(counts.items()) == {("0", "x"): 1, ("1", "x"): 1, (OTHER, OTHER): 3}
    counts.add("1", "x", by=4)
    assert (counts.of("1", "x"), counts.of("4", "x"), counts.total) == (5, 0, 9)


def test_spreads_have_only_so_many_words_too() -> None:
    values = Spreads((1.0,), most=1)
    values.note(0.5, "a")
    values.note(0.5, "b")
    values.note(0.5, "c")
    assert {words: each.count for words, each in values.items()} == {("a",): 1, (OTHER,): 2}


@pytest.mark.parametrize(
    ("value", "place"), [(0.0, 0), (1.0, 0), (1.01, 1), (2.0, 1), (2.01, 2), (9e9, 2)]
)
def test_a_value_counts_at_the_first_bound_that_is_no_smaller(value: float, place: int) -> None:
    values = Spread((1.0, 2.0))
    values.note(value)
    assert values.counts.index(1) == place
    assert (values.count, values.total) == (1, value)


async def test_buckets_are_added_up_and_end_without_a_bound() -> None:
    values = Spreads((1.0, 2.0))
    for value in (0.5, 1.5, 1.5, 9.0):
        values.note(value, "a")
    text, _ = await exposition([spreads("x", "Text.", ("w",), values)], "")
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    assert lines == [
        'x_bucket{le="1.0",w="a"} 1.0',
        'x_bucket{le="2.0",w="a"} 3.0',
        'x_bucket{le="+Inf",w="a"} 4.0',
        'x_count{w="a"} 4.0',
        'x_sum{w="a"} 12.5',
    ]


async def test_what_several_counts_know_is_added_up() -> None:
    one, other = Counts(), Counts()
    one.add("a", by=2)
    other.add("a")
    other.add("b")
    text, _ = await exposition([counters("x", "Text.", ("w",), one, other)], "")
    assert 'x_total{w="a"} 3.0' in text.decode()
    assert 'x_total{w="b"} 1.0' in text.decode()
