"""Bursts: as many whole answers, or small calls, as a relay can do, asked for by wrk."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark import answers
from benchmark.contenders import Target
from benchmark.paced_load import BadAnswer, whole_answer
from benchmark.processes import pinned

CONNECTIONS = 32
_SCRIPT = Path(__file__).with_name("burst.lua")
_MESSAGE = "Write as much as you can."


@dataclass(frozen=True, slots=True)
class Burst:
    """One round: whole answers a second, and the relay's processor time for each.

    `taken` is the percentage of the relay's core that other programs took meanwhile.
    """

    streams_per_second: float
    cpu_ms_per_stream: float
    taken: float

    @property
    def tokens_per_second(self) -> float:
        """Tokens that reached the clients."""
        return self.streams_per_second * answers.TOKENS

    @property
    def cpu_ms_per_1000_tokens(self) -> float:
        """The relay's processor time."""
        return self.cpu_ms_per_stream * 1000 / answers.TOKENS


@dataclass(frozen=True, slots=True)
class Calls:
    """One round of a small call: how many a second, and the server's processor time for each."""

    per_second: float
    cpu_us: float


def measure(target: Target, *, seconds: float, cores: Sequence[int]) -> Burst:
    """Ask for answers on 32 connections for this long.

    Raises:
        BadAnswer: one of them failed or was too short to be whole.
    """
    sample = whole_answer(target, _MESSAGE)
    if sample.count(b'"content":') < answers.TOKENS:
        raise BadAnswer(f"{target.name}: an answer of {len(sample)} bytes is not whole")
    content = target.body(_MESSAGE).decode()
    result, cpu, foreign = _measured(target, target.path, seconds, cores, content)
    requests = result["requests"]
    # The texts differ in length by a few percent.
    if result["errors"] or requests == 0 or result["bytes"] / requests < 0.9 * len(sample):
        raise BadAnswer(f"{target.name}: {result}, where an answer has {len(sample)} bytes")
    return Burst(
        streams_per_second=requests / (result["microseconds"] / 1e6),
        cpu_ms_per_stream=cpu * 1000 / requests,
        taken=100 * foreign / (result["microseconds"] / 1e6),
    )


def measure_calls(target: Target, path: str, *, seconds: float, cores: Sequence[int]) -> Calls:
    """Call GET on 32 connections for this long.

    Raises:
        BadAnswer: one of them failed.
    """
    result, cpu, _ = _measured(target, path, seconds, cores)
    requests = result["requests"]
    if result["errors"] or requests == 0:
        raise BadAnswer(f"{target.name}{path}: {result}")
    return Calls(per_second=requests / (result["microseconds"] / 1e6), cpu_us=cpu * 1e6 / requests)


def _measured(
    target: Target, path: str, seconds: float, cores: Sequence[int], content: str | None = None
) -> tuple[dict[str, int], float, float]:
    """What wrk counted after a moment of warming up; processor time of the target meanwhile, and
    of everything else on its core."""
    assert target.process is not None
    _run_wrk(target, path, 0.5, cores, content)
    cpu, foreign = target.process.cpu_seconds(), target.process.foreign_seconds()
    result = _run_wrk(target, path, seconds, cores, content)
    cpu, foreign = target.process.cpu_seconds() - cpu, target.process.foreign_seconds() - foreign
    return result, cpu, foreign


def _run_wrk(
    target: Target, path: str, seconds: float, cores: Sequence[int], content: str | None
) -> dict[str, int]:
    environment = dict(os.environ)
    if content is not None:
        environment["BENCH_BODY"] = content
    environment["BENCH_HEADERS"] = "\n".join(": ".join(header) for header in target.headers)
    # wrk knows whole seconds only.
    duration = f"{max(1, round(seconds))}s"
    arguments = ["-t1", f"-c{CONNECTIONS}", f"-d{duration}", "--timeout", "30s", "-s", str(_SCRIPT)]
    url = f"http://127.0.0.1:{target.port}{path}"
    run = subprocess.run(
        pinned(["wrk", *arguments, url], cores),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    numbers: dict[str, int] = json.loads(run.stdout.splitlines()[-1])
    return numbers
