"""The measurements, one stage each. Rounds of the relays alternate, and medians count: another
program's moment of work then falls on all of them, or on none."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from benchmark import burst, contenders, memory, paced_load
from benchmark.contenders import BARE, CHUK, DIRECT, FASTAPI
from benchmark.figures import Aim, Figure
from benchmark.paced_load import Delivery, Load, percentile
from benchmark.plan import Plan
from benchmark.rig import Rig

_QUICKEST = 0.05


def bursts(plan: Plan, rig: Rig) -> list[Figure]:
    """Whole answers, as fast as they go."""
    with rig.canned() as targets:
        rounds: dict[str, list[burst.Burst]] = {target.name: [] for target in targets}
        for number in range(plan.rounds):
            for target in targets:
                rig.say(f"bursts, round {number + 1} of {plan.rounds}: {target.name}")
                rounds[target.name].append(
                    burst.measure(target, seconds=plan.burst_seconds, cores=rig.cores.load)
                )

    def median(read: Callable[[burst.Burst], float]) -> dict[str, float]:
        return {name: statistics.median(map(read, done)) for name, done in rounds.items()}

    load = f"{burst.CONNECTIONS} connections"
    return [
        Figure(
            "burst_streams_per_second",
            f"whole answers, {load}",
            "streams/s",
            median(lambda done: done.streams_per_second),
            Aim(12, at_least=True, against=FASTAPI),
        ),
        Figure(
            "burst_tokens_per_second",
            f"tokens, {load}",
            "tokens/s",
            median(lambda done: done.tokens_per_second),
        ),
        Figure(
            "burst_cpu_ms_per_stream",
            f"CPU of an answer, {load}",
            "ms",
            median(lambda done: done.cpu_ms_per_stream),
            # "20 % of the bare relay": at most five times its work.
            Aim(5, at_least=False, against=BARE),
        ),
        Figure(
            "burst_cpu_ms_per_1000_tokens",
            f"CPU of 1000 tokens, {load}",
            "ms",
            median(lambda done: done.cpu_ms_per_1000_tokens),
        ),
    ]


def paced(plan: Plan, rig: Rig) -> list[Figure]:
    """Many streams at a pace that people read at: CPU, delays, delivery."""
    fast: dict[str, list[Delivery]] = {}
    many: dict[str, list[Delivery]] = {}
    with rig.paced([BARE, CHUK, FASTAPI], "paced") as (port, targets):
        rig.say("paced, without a relay")
        many[DIRECT] = [paced_load.drive(contenders.direct(port), plan.many)]
        for number in range(plan.paced_rounds):
            for load, results in ((plan.fast, fast), (plan.many, many)):
                for target in targets:
                    own = plan.gentle if target.name == FASTAPI else load
                    if target.name == FASTAPI and results is fast:
                        continue
                    rig.say(
                        f"paced, round {number + 1} of {plan.paced_rounds}: {target.name}, "
                        f"{own.streams} × {own.tokens_per_second} tokens/s"
                    )
                    results.setdefault(target.name, []).append(paced_load.drive(target, own))
    if FASTAPI in many:
        fast[FASTAPI] = many[FASTAPI]
    return _paced_figures(plan, fast, many)


def _paced_figures(
    plan: Plan, fast: dict[str, list[Delivery]], many: dict[str, list[Delivery]]
) -> list[Figure]:
    def median(
        results: dict[str, list[Delivery]], read: Callable[[Delivery], float]
    ) -> dict[str, float]:
        return {name: statistics.median(map(read, done)) for name, done in results.items()}

    def added(read: Callable[[Delivery], Sequence[int]], share: float) -> dict[str, float]:
        """A percentile in ms, less what even the quickest take without a relay.

        `direct` stays as it is.
        """
        values = median(many, lambda done: percentile(read(done), share))
        floor = median(many, lambda done: percentile(read(done), _QUICKEST))[DIRECT]
        return {name: value if name == DIRECT else value - floor for name, value in values.items()}

    def load_of(load: Load) -> str:
        return f"{load.streams} × {load.tokens_per_second}/s"

    at_fast, at_many = load_of(plan.fast), load_of(plan.many)
    return [
        Figure(
            "paced_cpu_us_per_token",
            f"CPU of a token, {at_fast}",
            "µs",
            median(fast, lambda done: done.cpu_us_per_token),
            Aim(2, at_least=False, against=BARE),
        ),
        Figure(
            "paced_cpu_us_per_token_many",
            f"CPU of a token, {at_many}",
            "µs",
            {n: v for n, v in median(many, lambda done: done.cpu_us_per_token).items() if v},
        ),
        Figure(
            "paced_delivered",
            f"delivered, {at_many}",
            "%",
            {name: min(run.delivered for run in done) for name, done in many.items()},
            Aim(100, at_least=True),
        ),
        Figure(
            "delay_p50_ms",
            f"added delay of a token, p50, {at_many}",
            "ms",
            added(lambda done: done.delays, 0.5),
        ),
        Figure(
            "delay_p99_ms",
            f"added delay of a token, p99, {at_many}",
            "ms",
            added(lambda done: done.delays, 0.99),
            Aim(6, at_least=False, against=BARE),
        ),
        Figure(
            "first_token_p50_ms",
            f"added time to first token, p50, {at_many}",
            "ms",
            added(lambda done: done.first_delays, 0.5),
        ),
        Figure(
            "first_token_p99_ms",
            f"added time to first token, p99, {at_many}",
            "ms",
            added(lambda done: done.first_delays, 0.99),
        ),
        Figure(
            "pace_kept",
            f"pace of what arrived, {at_many}",
            "%",
            median(many, lambda done: done.pace),
        ),
        Figure(
            "disturbance",
            f"relay's core taken by other programs, {at_many}",
            "%",
            {name: max(run.disturbance for run in done) for name, done in many.items()},
        ),
    ]


def held_memory(plan: Plan, rig: Rig) -> list[Figure]:
    """What open streams and idle sockets hold, each time of a relay that has just started."""
    streams: dict[str, float] = {}
    sockets: dict[str, float] = {}
    for name in rig.relays:
        rig.say(f"memory of {plan.open_streams} open streams: {name}")
        with rig.paced([name], f"streams-{name}") as (_, (target,)):
            streams[name] = memory.kib_per_open_stream(target, plan.open_streams)
        if name == BARE:
            # It would only pass the upgrade on.
            continue
        rig.say(f"memory of {plan.idle_websockets} idle WebSockets: {name}")
        with rig.paced([name], f"sockets-{name}") as (_, (target,)):
            sockets[name] = memory.kib_per_idle_websocket(target, plan.idle_websockets)
    return [
        Figure(
            "memory_kib_per_open_stream",
            "memory of an open stream",
            "KiB",
            streams,
            Aim(40, at_least=False),
        ),
        Figure(
            "memory_kib_per_idle_websocket",
            "memory of an idle WebSocket",
            "KiB",
            sockets,
            Aim(20, at_least=False),
        ),
    ]
