"""Files made Markdown: how long, how much memory, and what it does to those who chat meanwhile."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark import paced_load
from benchmark.contenders import CHUK, LIBRARY, Target
from benchmark.conversions import Conversion, convert
from benchmark.documents import Document, documents, long_pdf
from benchmark.figures import Aim, Figure
from benchmark.paced_load import BadAnswer, percentile
from benchmark.plan import Plan
from benchmark.processes import Pinned, clean_environment, pinned
from benchmark.rig import Rig

_PACKAGES = Path(__file__).resolve().parents[1]
_AT_ONCE = 20
# "under 15 % or 30 ms": whichever is more.
_SHARE, _SPARE_MS = 1.15, 30.0
_SETTLING = 1.0


def media(plan: Plan, rig: Rig) -> list[Figure]:
    """Each format beside its library; then a load of conversions beside a load of chats."""
    with rig.paced([CHUK], "media") as (_, (target,)):
        return [
            *_by_format(plan, rig, target),
            *_beside_chats(plan, rig, target),
        ]


def _by_format(plan: Plan, rig: Rig, target: Target) -> list[Figure]:
    figures = []
    for document in documents(rig.folder / "documents"):
        rig.say(f"media, {plan.media_rounds} rounds: {document.label}")
        ours: list[Conversion] = []
        theirs: list[Conversion] = []
        for _ in range(plan.media_rounds):
            ours.append(convert(target, document.path))
            theirs.append(_plainly(document, rig))
        key = document.label.replace(" ", "_").replace(",", "")
        figures += [
            Figure(
                f"media_ms_{key}",
                f"{document.label}: time",
                "ms",
                {
                    name: statistics.median(one.seconds * 1000 for one in done)
                    for name, done in ((CHUK, ours), (LIBRARY, theirs))
                },
                Aim(_SHARE, at_least=False, against=LIBRARY, spare=_SPARE_MS),
            ),
            Figure(
                f"media_mib_{key}",
                f"{document.label}: peak memory of its process",
                "MiB",
                {
                    name: max(one.memory_kib for one in done) / 1024
                    for name, done in ((CHUK, ours), (LIBRARY, theirs))
                },
            ),
        ]
    return figures


def _plainly(document: Document, rig: Rig) -> Conversion:
    """The library alone, in a process of its own on the same core as the server's."""
    command = [sys.executable, "-m", "benchmark.plain_reading", document.format, document.path]
    began = time.perf_counter()
    done = subprocess.run(
        pinned([str(word) for word in command], rig.cores.relay),
        env=clean_environment({"PYTHONPATH": str(_PACKAGES)}),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise BadAnswer(f"the library alone cannot read {document.label}:\n{done.stderr[-500:]}")
    return Conversion(seconds, int(done.stdout.split()[1]))


def _beside_chats(plan: Plan, rig: Rig, target: Target) -> list[Figure]:
    alone: list[float] = []
    beside: list[float] = []
    load = plan.beside_files
    for number in range(plan.paced_rounds):
        chats = f"{load.streams} × {load.tokens_per_second} tokens/s"
        rig.say(f"media, round {number + 1} of {plan.paced_rounds}: {chats} alone")
        alone.append(percentile(paced_load.drive(target, load).delays, 0.99))
        rig.say(f"media, round {number + 1} of {plan.paced_rounds}: and {_AT_ONCE} conversions")
        with _conversions(rig, target) as under_way:
            beside.append(percentile(paced_load.drive(target, load).delays, 0.99))
        if not under_way.output.read_bytes():
            raise BadAnswer("nothing was converted while the chats ran")
    at = f"{load.streams} × {load.tokens_per_second}/s"
    ratio = statistics.median(
        busy / quiet for busy, quiet in zip(beside, alone, strict=True) if quiet
    )
    return [
        Figure(
            "media_delay_p99_ms_alone",
            f"delay of a token, p99, {at}",
            "ms",
            {CHUK: statistics.median(alone)},
        ),
        Figure(
            "media_delay_p99_ms_beside",
            f"the same beside {_AT_ONCE} conversions at once",
            "ms",
            {CHUK: statistics.median(beside)},
        ),
        Figure(
            "media_delay_p99_ratio",
            "the second to the first, by round",
            "×",
            {CHUK: ratio},
            Aim(1.5, at_least=False),
        ),
    ]


@contextmanager
def _conversions(rig: Rig, target: Target) -> Iterator[Pinned]:
    """Many conversions under way at every moment of the block."""
    token = dict(target.headers)["Authorization"]
    command = [sys.executable, "-m", "benchmark.conversions", str(target.port), token]
    with Pinned(
        "conversions",
        [*command, str(long_pdf()), str(_AT_ONCE)],
        cores=rig.cores.load,
        folder=rig.folder,
        environment={"PYTHONPATH": str(_PACKAGES)},
    ) as process:
        time.sleep(_SETTLING)
        yield process
