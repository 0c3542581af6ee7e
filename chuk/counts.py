"""Plain numbers that say how often something happened and how long it took, for who looks at them.

    answered = Counts()
    answered.add("GET", "/health")
    waits = Spreads(bounds=(0.1, 1.0))
    waits.note(0.4, "OpenRouter")

Words tell what is counted apart. There are only ever so many of them: the names of routes,
providers and errors, never of people, and nothing that anybody wrote. What would be one too many
is counted under `OTHER`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

OTHER = "other"
_MOST = 2_000


class Counts:
    """How often, by some words.

    Args:
        most: different words that are told apart.
    """

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int = _MOST) -> None:
        self._counts: dict[tuple[str, ...], float] = {}
        self._most = most

    def add(self, *words: str, by: float = 1) -> None:
        """Count once more, or by as much."""
        words = _bounded(words, self._counts, self._most)
        self._counts[words] = self._counts.get(words, 0) + by

    def of(self, *words: str) -> float:
        """How often so far."""
        return self._counts.get(words, 0)

    @property
    def total(self) -> float:
        """All together."""
        return sum(self._counts.values())

    def items(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """All words, with how often."""
        return iter(tuple(self._counts.items()))


class Spread:
    """How values are spread.

    Args:
        bounds: in ascending order. A value counts at the first that is no smaller.

    Attributes:
        counts: of each bound, then of what is above all of them; not added up.
        total: of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts)


class Spreads:
    """A spread for each combination of some words; see `Counts` and `Spread`."""

    __slots__ = ("_bounds", "_most", "_spreads")

    def __init__(self, bounds: tuple[float, ...], most: int = _MOST) -> None:
        self._bounds = bounds
        self._most = most
        self._spreads: dict[tuple[str, ...], Spread] = {}

    def note(self, value: float, *words: str) -> None:
        """Count a value."""
        words = _bounded(words, self._spreads, self._most)
        spread = self._spreads.get(words)
        if spread is None:
            spread = self._spreads[words] = Spread(self._bounds)
        spread.note(value)

    def items(self) -> Iterator[tuple[tuple[str, ...], Spread]]:
        """All words, with their spread."""
        return iter(tuple(self._spreads.items()))


def _bounded(
    words: tuple[str, ...],
    known: dict[tuple[str, ...], float] | dict[tuple[str, ...], Spread],
    most: int,
) -> tuple[str, ...]:
    return words if words in known or len(known) < most else (OTHER,) * len(words)
