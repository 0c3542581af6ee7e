"""How long to wait before what has died is started again."""

from __future__ import annotations

_FIRST = 0.5
_LONGEST = 30.0
_HEALTHY_AFTER = 60.0


class Pauses:
    """Nothing after the first death; then ever longer, until one lives for a while.

    Attributes:
        deaths: in a row.
    """

    def __init__(self) -> None:
        self.deaths = 0

    def after(self, lived: float) -> float:
        """Count a death, after a life of so many seconds; return the pause."""
        self.deaths = 1 if lived > _HEALTHY_AFTER else self.deaths + 1
        # A power that large would be no float any more.
        doublings = min(self.deaths - 2, 10)
        return 0.0 if self.deaths == 1 else min(_FIRST * 2.0**doublings, _LONGEST)
