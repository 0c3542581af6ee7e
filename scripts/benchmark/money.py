"""What money costs: the books of a turn, by store; a whole turn with them and without; a status."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmark import burst, canned_upstream, contenders
from benchmark.burst import Burst, Calls
from benchmark.contenders import CHECKOUT, CHUK, Target
from benchmark.figures import BESIDE, Aim, Figure
from benchmark.plan import Plan
from benchmark.processes import Pinned, StartFailed, clean_environment, free_port, pinned
from benchmark.rig import Rig

_SQLITE = "SQLite"
_SUPABASE = "Supabase"
_PACKAGES = Path(__file__).resolve().parents[1]
_AT_ONCE = (1, burst.CONNECTIONS)
# What the app reads to say what a user has left, and the cheapest call there is.
_STATUS = "/v1/user/status"
_HEALTH = "/health"
_WITH = "with-books"
_WITHOUT = "without-books"

Round = TypeVar("Round")


@dataclass(frozen=True, slots=True)
class _Kept:
    """What `benchmark.books_load` says of one round; see there."""

    turns: int
    cpu_us: float
    wait_ms: float
    holds_per_second: float


@dataclass(frozen=True, slots=True)
class _Rounds:
    """All that was measured, a list of rounds for each thing."""

    turns: dict[str, list[Burst]]
    calls: dict[str, list[Calls]]
    kept: dict[tuple[str, int], list[_Kept]]


def money(plan: Plan, rig: Rig) -> list[Figure]:
    """The price of billing. Whatever is put beside something else alternates with it."""
    rounds = _Rounds({}, {}, {})
    folder = rig.folder / "money"
    folder.mkdir()
    with _servers(rig, folder) as (billed, unbilled), _stores(rig, folder) as stores:
        for number in range(plan.money_rounds):
            rig.say(f"money, round {number + 1} of {plan.money_rounds}: turns")
            # There and back, so that a machine that slows down or speeds up favours neither.
            for target in (billed, unbilled, unbilled, billed):
                rounds.turns.setdefault(target.name, []).append(
                    burst.measure(target, seconds=plan.money_seconds, cores=rig.cores.load)
                )
            rig.say(f"money, round {number + 1} of {plan.money_rounds}: status calls")
            for path in (_STATUS, _HEALTH):
                rounds.calls.setdefault(path, []).append(
                    burst.measure_calls(
                        billed, path, seconds=plan.money_seconds, cores=rig.cores.load
                    )
                )
            for store, environment in stores.items():
                for at_once in _AT_ONCE:
                    rig.say(
                        f"money, round {number + 1} of {plan.money_rounds}: "
                        f"books in {store}, {at_once} at once"
                    )
                    rounds.kept.setdefault((store, at_once), []).append(
                        _kept(environment, at_once, plan.money_seconds, rig)
                    )
    return _figures(rounds)


@contextmanager
def _servers(rig: Rig, folder: Path) -> Iterator[list[Target]]:
    """The same server twice in front of nginx; only the second one's turns keep no books."""
    with ExitStack() as running:
        port = free_port()
        running.enter_context(canned_upstream.start(port, cores=rig.cores.load, folder=folder))
        targets = []
        for name, options in ((_WITH, []), (_WITHOUT, ["--unbilled"])):
            target = contenders.start_chuk(
                ["-m", "benchmark.server", *options],
                port,
                cores=rig.cores.relay,
                folder=folder,
                name=name,
            )
            assert target.process is not None
            running.enter_context(target.process)
            targets.append(target)
        yield targets


@contextmanager
def _stores(rig: Rig, folder: Path) -> Iterator[dict[str, Mapping[str, str]]]:
    """For each store the environment that names it."""
    sqlite = {"CHUK_DATA_DIR": str(folder / "books")}
    file = folder / "project.json"
    with Pinned(
        "supabase-stand-in",
        [sys.executable, "-m", "benchmark.supabase_stand_in", str(file)],
        # Whatever answers us has the load's cores, as nginx does.
        cores=rig.cores.load,
        folder=folder,
        environment=_python_path(),
        home=folder,
    ) as project:
        project.wait_until(file.exists, seconds=60)
        yield {_SQLITE: sqlite, _SUPABASE: {**sqlite, **json.loads(file.read_text())}}


def _kept(environment: Mapping[str, str], at_once: int, seconds: float, rig: Rig) -> _Kept:
    """Keep books in a process of its own, on the relay's core."""
    command = [sys.executable, "-m", "benchmark.books_load", str(at_once), str(seconds)]
    ran = subprocess.run(
        pinned(command, rig.cores.relay),
        env=clean_environment({**_python_path(), **environment}),
        cwd=rig.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise StartFailed(f"keeping books failed:\n{ran.stderr}")
    return _Kept(**json.loads(ran.stdout.splitlines()[-1]))


def _python_path() -> dict[str, str]:
    return {"PYTHONPATH": f"{CHECKOUT}:{_PACKAGES}"}


def _figures(rounds: _Rounds) -> list[Figure]:
    def turn(read: Callable[[Burst], float]) -> dict[str, float]:
        return _pair(rounds.turns[_WITH], rounds.turns[_WITHOUT], read)

    def call(read: Callable[[Calls], float]) -> dict[str, float]:
        return _pair(rounds.calls[_STATUS], rounds.calls[_HEALTH], read)

    def kept(at_once: int, read: Callable[[_Kept], float]) -> dict[str, float]:
        return _pair(rounds.kept[_SQLITE, at_once], rounds.kept[_SUPABASE, at_once], read)

    load = f"{burst.CONNECTIONS} connections"
    figures = [
        Figure(
            "money_cpu_ms_per_turn",
            f"CPU of an answer, {load}",
            "ms",
            turn(lambda done: done.cpu_ms_per_stream),
            Aim(1.25, at_least=False, against=BESIDE),
            beside="without books",
        ),
        Figure(
            "money_turns_per_second",
            f"whole answers, {load}",
            "streams/s",
            turn(lambda done: done.streams_per_second),
            beside="without books",
        ),
        Figure(
            "money_core_taken",
            f"relay's core taken by other programs, {load}",
            "%",
            turn(lambda done: done.taken),
            beside="without books",
        ),
        Figure(
            "money_cpu_us_per_status",
            f"CPU of a status call, {load}",
            "µs",
            call(lambda done: done.cpu_us),
            beside=_HEALTH,
        ),
        Figure(
            "money_status_per_second",
            f"status calls, {load}",
            "calls/s",
            call(lambda done: done.per_second),
            beside=_HEALTH,
        ),
    ]
    for at_once in _AT_ONCE:
        turns = f"{at_once} turn{'s' if at_once > 1 else ''} at once"
        figures += [
            Figure(
                f"money_cpu_us_of_books_{at_once}",
                f"CPU of hold, note and settle, SQLite, {turns}",
                "µs",
                kept(at_once, lambda done: done.cpu_us),
                beside=_SUPABASE,
            ),
            Figure(
                f"money_wait_ms_for_books_{at_once}",
                f"wait for hold and settle, p50, SQLite, {turns}",
                "ms",
                kept(at_once, lambda done: done.wait_ms),
                beside=_SUPABASE,
            ),
            Figure(
                f"money_holds_per_second_{at_once}",
                f"holds, SQLite, {turns}",
                "holds/s",
                kept(at_once, lambda done: done.holds_per_second),
                beside=_SUPABASE,
            ),
        ]
    return figures


def _pair(
    ours: Sequence[Round], theirs: Sequence[Round], read: Callable[[Round], float]
) -> dict[str, float]:
    return {
        CHUK: statistics.median(map(read, ours)),
        BESIDE: statistics.median(map(read, theirs)),
    }
