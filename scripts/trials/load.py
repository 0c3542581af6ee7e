"""Two thousand WebSockets and five hundred streams on one core: everything must arrive.

`scripts/load --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from benchmark import answers
from benchmark.contenders import Target, start_chuk, start_paced_upstream
from benchmark.machine import Cores, cores, raise_descriptor_limit
from benchmark.paced_load import Load
from benchmark.processes import free_port

from trials.crowd import Connection, connect, text_frame, upgrade
from trials.rig import trial_folder
from trials.verdict import Verdict, table
from trials.vitals import Sample, sample

# Above what a socket and a stream take on the benchmark's machine (docs/benchmark.md).
_MOST_KIB_PER_SOCKET = 48
_MOST_KIB_PER_STREAM = 96
_SLACK_FILES = 60
_PATIENCE = 120.0


@dataclass(frozen=True)
class Plan:
    """How many of what. Each socket takes one turn, begun at some moment of `ramp` seconds."""

    sockets: int = 2_000
    streams: int = 500
    stream: Load = Load(streams=500, tokens=200, tokens_per_second=10, ramp=4.0)
    turn: Load = Load(streams=2_000, tokens=20, tokens_per_second=5, ramp=14.0)


QUICK = Plan(
    sockets=40,
    streams=10,
    stream=Load(streams=10, tokens=20, tokens_per_second=20, ramp=0.2),
    turn=Load(streams=40, tokens=5, tokens_per_second=20, ramp=0.3),
)


async def load(plan: Plan, target: Target, verdict: Verdict) -> None:
    """Put it on the server, all at once."""
    assert target.process is not None
    pid = target.process.pid
    chance = random.Random(5)
    rows: list[list[object]] = []

    def look(when: str) -> Sample:
        now = sample(pid)
        rows.append([when, now.kib, now.files])
        return now

    # What the first few cost, memory that is made once, is nobody's share.
    await _warm_up(target)
    at_rest = look("at rest")
    sockets = await connect(target.port, plan.sockets)
    await upgrade(sockets, target.upgrade())
    with_sockets = look(f"{plan.sockets} sockets open")
    streams = await connect(target.port, plan.streams)
    began = time.monotonic()
    tasks = [
        *(_stream(each, target, plan.stream, chance) for each in streams),
        *(_turn(each, plan.turn, chance) for each in sockets),
    ]
    work = asyncio.gather(*tasks, return_exceptions=True)
    middle = asyncio.create_task(_at(max(plan.stream.ramp, plan.turn.ramp / 2), pid))
    async with asyncio.timeout(_PATIENCE):
        found = await work
    under_load = await middle
    rows.append(["under load", under_load.kib, under_load.files])
    seconds = time.monotonic() - began
    _judge(plan, verdict, streams, sockets, [each for each in found if each is not None])
    alive = await _pings(sockets)
    for each in (*sockets, *streams):
        each.close()
    after = await _let_go(pid, at_rest)
    rows.append(["all gone", after.kib, after.files])
    print(table(["when", "KiB", "descriptors"], rows))
    verdict.expect(alive == plan.sockets, f"{alive} of {plan.sockets} sockets are alive at the end")
    per_socket = (with_sockets.kib - at_rest.kib) / plan.sockets
    verdict.expect(
        per_socket <= _MOST_KIB_PER_SOCKET or plan is QUICK,
        f"{per_socket:.1f} KiB for an idle socket (up to {_MOST_KIB_PER_SOCKET})",
    )
    busy = plan.streams + plan.sockets
    per_turn = (under_load.kib - with_sockets.kib) / busy
    verdict.expect(
        per_turn <= _MOST_KIB_PER_STREAM or plan is QUICK,
        f"{per_turn:.1f} KiB more for each of {busy} turns (up to {_MOST_KIB_PER_STREAM})",
    )
    most = at_rest.files + plan.sockets + plan.streams + busy + _SLACK_FILES
    verdict.expect(under_load.files <= most, f"{under_load.files} descriptors (up to {most})")
    verdict.expect(
        after.files <= at_rest.files + _SLACK_FILES,
        f"{after.files} descriptors once all are gone ({at_rest.files} before)",
    )
    print(f"     {seconds:.1f} s for all of it")


def _judge(
    plan: Plan,
    verdict: Verdict,
    streams: Sequence[Connection],
    sockets: Sequence[Connection],
    failures: Sequence[BaseException],
) -> None:
    verdict.expect(not failures, f"no connection was lost ({len(failures)})")
    for what, connections, one in (
        ("streams", streams, plan.stream),
        ("sockets", sockets, plan.turn),
    ):
        wanted = len(connections) * one.tokens
        came = sum(each.tokens for each in connections)
        verdict.expect(came == wanted, f"{came} of {wanted} tokens over {what}")
        for each in [each for each in connections if each.ends != 1][:3]:
            print(f"     {bytes(each.received[-200:])!r}")
        ends = [each.ends for each in connections]
        verdict.expect(ends == [1] * len(connections), f"each of {len(ends)} turns ended once")


async def _stream(connection: Connection, target: Target, one: Load, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, one.ramp))
    connection.send(target.request(one.message))
    await connection.ended()


async def _turn(connection: Connection, one: Load, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, one.ramp))
    connection.send(
        text_frame(
            {
                "model_id": answers.MODEL,
                "message": one.message,
                "provider_slug": answers.PROVIDER,
                "max_tokens": 4096,
            }
        )
    )
    await connection.ended()


async def _pings(sockets: Sequence[Connection]) -> int:
    """How many sockets still answer, after their turns."""
    asked = [each for each in sockets if not each.is_lost]
    for each in asked:
        each.received.clear()
        each.send(text_frame({"type": "ping"}))
    async with asyncio.timeout(_PATIENCE):
        answers_ = await asyncio.gather(
            *(each.until(b'"pong"') for each in asked), return_exceptions=True
        )
    return sum(answer is None for answer in answers_)


async def _warm_up(target: Target) -> None:
    some = await connect(target.port, 20)
    one = Load(streams=20, tokens=10, tokens_per_second=50, ramp=0.1)
    await upgrade(some[:10], target.upgrade())
    chance = random.Random(1)
    await asyncio.gather(
        *(_turn(each, one, chance) for each in some[:10]),
        *(_stream(each, target, one, chance) for each in some[10:]),
    )
    for each in some:
        each.close()
    await asyncio.sleep(0.5)


async def _at(seconds: float, pid: int) -> Sample:
    await asyncio.sleep(seconds)
    return sample(pid)


async def _let_go(pid: int, at_rest: Sample) -> Sample:
    """Look until all is closed: what led to the upstream is kept for a while, to be used again."""
    for _ in range(360):
        now = sample(pid)
        if now.files <= at_rest.files + _SLACK_FILES:
            break
        await asyncio.sleep(0.25)
    return now


def main(given: Sequence[str] | None = None) -> int:
    """Read the command line and load; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/load",
        description="2,000 WebSockets, each with a turn, and 500 streams at 10 tokens a second, at "
        "once on one core, before an upstream that answers at a steady pace on the other. Exits "
        "with 1 where a token, an end or a connection is lost, or more memory or descriptors are "
        "held than they may. Needs Linux with two cores.",
    )
    parser.add_argument("--sockets", type=int, help="other than 2000")
    parser.add_argument("--streams", type=int, help="other than 500")
    parser.add_argument(
        "--quick", action="store_true", help="a few of each: shows that it works, proves nothing"
    )
    options = parser.parse_args(given)
    plan = QUICK if options.quick else Plan()
    plan = (
        Plan(
            options.sockets or plan.sockets, options.streams or plan.streams, plan.stream, plan.turn
        )
        if (options.sockets or options.streams)
        else plan
    )
    verdict = Verdict("load")
    try:
        on: Cores = cores()
        # Both ends of every connection, and as many to the upstream.
        raise_descriptor_limit(3 * (plan.sockets + plan.streams) + 500)
    except ValueError as error:
        print(f"Cannot run: {error}", file=sys.stderr)
        return 2
    with trial_folder() as folder:
        _run(plan, on, folder, verdict)
    return verdict.code()


def _run(plan: Plan, on: Cores, folder: Path, verdict: Verdict) -> None:
    port = free_port()
    with start_paced_upstream(port, cores=on.load, folder=folder):
        target = start_chuk(["-m", "chuk", "serve"], port, cores=on.relay, folder=folder)
        assert target.process is not None
        with target.process:
            uvloop.run(load(plan, target, verdict))


if __name__ == "__main__":
    sys.exit(main())
