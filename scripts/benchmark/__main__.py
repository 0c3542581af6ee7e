"""Run the benchmark: `scripts/bench --help`."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmark import chart, gateways, machine, media, report, stages
from benchmark.contenders import RELAYS
from benchmark.figures import Figure
from benchmark.memory import Refused
from benchmark.money import money
from benchmark.paced_load import BadAnswer
from benchmark.plan import QUICK, Plan
from benchmark.processes import StartFailed, alone, precedence
from benchmark.reach import reach
from benchmark.rig import Rig

_CHECKOUT = Path(__file__).resolve().parents[2]
_STAGES = {
    "memory": stages.held_memory,
    "burst": stages.bursts,
    "paced": stages.paced,
    "media": media.media,
    "money": money,
    "reach": reach,
    "gateways": gateways.gateways,
}
# What has to be installed for it is more than all the rest.
_ONLY_WHEN_ASKED = {"gateways"}


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure the server beside a bare byte relay, a FastAPI relay, and the "
        "libraries that read files.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--check", action="store_true", help="exit with 1 when an aim is missed")
    parser.add_argument("--only", choices=_STAGES, action="append", help="just this stage")
    parser.add_argument("--relay", choices=RELAYS, action="append", help="just this relay")
    parser.add_argument("--out", type=Path, default=_CHECKOUT / "bench-results", metavar="DIR")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Measure, print, keep. Returns the exit code."""
    arguments = _arguments(given)
    # Ends the blocks below, and with them every process they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    plan = QUICK if arguments.quick else Plan()
    try:
        cores = machine.cores()
        machine.raise_descriptor_limit(plan.descriptors)
    except ValueError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, cores.load)
    gc.freeze()
    stages_asked = arguments.only or [name for name in _STAGES if name not in _ONLY_WHEN_ASKED]
    try:
        figures = _measured(plan, cores, stages_asked, arguments.relay or RELAYS)
    except (StartFailed, BadAnswer, Refused, OSError) as problem:
        notes: list[str] = getattr(problem, "__notes__", [])
        print("\n".join([f"bench: {problem}", *notes]), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nbench: stopped", file=sys.stderr)
        return 130
    _keep(arguments.out, figures, plan)
    missed = [figure for figure in figures if figure.met is False]
    return 1 if arguments.check and missed else 0


def _measured(
    plan: Plan, cores: machine.Cores, chosen: Sequence[str], relays: Sequence[str]
) -> list[Figure]:
    """The figures of these stages, in the order given."""
    with (
        alone(print),
        precedence(),
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
    ):
        began = time.monotonic()
        rig = Rig(
            relays=relays,
            cores=cores,
            folder=Path(folder),
            say=lambda text: print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True),
        )
        return [figure for name in chosen for figure in _STAGES[name](plan, rig)]


def _keep(out: Path, figures: Sequence[Figure], plan: Plan) -> None:
    facts = machine.describe(_CHECKOUT)
    gentle = f"{plan.gentle.streams} × {plan.gentle.tokens_per_second}/s"
    print(f"\n{report.as_text(figures, gentle)}\n")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    out.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y-%m-%dT%H%M%S")
    results, picture = out / f"{stamp}.json", out / f"{stamp}.png"
    report.write_json(results, figures, facts)
    chart.draw(picture, figures, facts, gentle)
    print(f"\n{results}\n{picture}")


if __name__ == "__main__":
    sys.exit(main())
