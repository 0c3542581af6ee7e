"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmark.paced_load import Load


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of each measurement; a whole run takes about six minutes."""

    rounds: int = 3
    burst_seconds: float = 3
    paced_rounds: int = 3
    fast: Load = field(default=Load(streams=500, tokens=200, tokens_per_second=50, ramp=1.5))
    many: Load = field(default=Load(streams=2000, tokens=90, tokens_per_second=10, ramp=5))
    # What FastAPI gets instead of both: at either of them it falls behind without end.
    gentle: Load = field(default=Load(streams=500, tokens=60, tokens_per_second=10, ramp=4))
    media_rounds: int = 7
    # Long enough for many conversions to come and go.
    beside_files: Load = field(default=Load(streams=200, tokens=150, tokens_per_second=20, ramp=1))
    open_streams: int = 600
    idle_websockets: int = 2000
    money_rounds: int = 3
    money_seconds: float = 2
    reach_rounds: int = 3
    reach_seconds: float = 2
    gateways_rounds: int = 2
    # One of them needs most of that for its first 32 answers.
    gateways_seconds: float = 15

    @property
    def descriptors(self) -> int:
        """Open files that the largest load needs in one process.

        The upstream has the most: a client's own connections beside those that all relays keep.
        """
        return 4 * max(self.many.streams, self.open_streams, self.idle_websockets) + 1000


QUICK = Plan(
    rounds=1,
    burst_seconds=2,
    paced_rounds=1,
    media_rounds=3,
    fast=replace(Plan().fast, tokens=128),
    open_streams=300,
    idle_websockets=1000,
    money_rounds=1,
    reach_rounds=1,
    gateways_rounds=1,
)
