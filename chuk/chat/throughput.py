"""How fast each provider answers, as measured here."""

from __future__ import annotations

from collections import OrderedDict

from chuk.chat.breakers import Target

_MOST_TARGETS = 4_096
_WEIGHT = 0.2  # of the newest answer; what is twenty answers old counts for a hundredth
# Shorter ones say more of the network than of the provider.
_FEWEST_TOKENS = 16
_SHORTEST_SPAN = 0.05


class Throughput:
    """Completion tokens a second, by target: an average in which old answers fade."""

    def __init__(self) -> None:
        self._averages: OrderedDict[Target, float] = OrderedDict()

    def note(self, target: Target, tokens: int, seconds: float) -> None:
        """Take one answer in: tokens after the first one, and the time that they took."""
        if tokens < _FEWEST_TOKENS or seconds < _SHORTEST_SPAN:
            return
        speed = tokens / seconds
        before = self._averages.pop(target, speed)
        while len(self._averages) >= _MOST_TARGETS:
            self._averages.popitem(last=False)
        self._averages[target] = before + _WEIGHT * (speed - before)

    def of(self, target: Target) -> float | None:
        """Tokens a second; None where nothing was measured."""
        return self._averages.get(target)
