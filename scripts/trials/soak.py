"""Everything that people do, for a long time: memory and descriptors must stay what they are.

`scripts/soak --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from tests.fakes.fal import FakeFal
from tests.fakes.groq import FakeGroq
from tests.fakes.inworld import FakeInworld
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.openrouter_replies import Reply
from tests.harness import openrouter_environ
from tests.redis_server import RedisServer
from trials.people import people
from trials.rig import UNLIMITED, on_trial, trial_folder
from trials.traffic import Traffic
from trials.verdict import Verdict, table
from trials.vitals import Sample, sample, trend

# What is kept for a while, and by that time is as much as it will ever be.
_KEPT_BRIEFLY = {
    "CHUK_RESUME_GRACE": "5",
    "CHUK_CHAT_RESUME_KEEP": "20",
    "CHUK_CREDITS_HOLD_LEASE": "10",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "2",
}
_WARM_UP_SHARE = 0.3
_LONGEST_WARM_UP = 600.0
_LOOKS = 120
# Of memory this may come and go with the allocator's moods over any length of time.
_MEMORY_SHARE, _MEMORY_LEAST = 0.04, 4_096
_FILES_SHARE, _FILES_LEAST = 0.1, 8
_MOST_LOST_SHOWN = 10


async def soak(seconds: float, hands: int, pause: float) -> int:
    """Run the traffic for so long; returns the exit code."""
    verdict = Verdict("soak")
    async with AsyncExitStack() as running:
        folder = running.enter_context(trial_folder())
        upstream = await running.enter_async_context(FakeOpenRouter())
        fal = await running.enter_async_context(FakeFal())
        groq = await running.enter_async_context(FakeGroq())
        inworld = await running.enter_async_context(FakeInworld())
        redis = RedisServer()
        redis.start()
        running.callback(redis.close)
        environ = {
            **UNLIMITED,
            **_KEPT_BRIEFLY,
            "CHUK_DATA_DIR": str(folder / "data"),
            "REDIS_URL": redis.url,
            **openrouter_environ(upstream),
            "FAL_KEY": fal.key,
            "FAL_QUEUE_URL": fal.queue_url,
            "GROQ_API_KEY": groq.api_key,
            "GROQ_BASE_URL": groq.base_url,
            "INWORLD_API_KEY": inworld.api_key,
            "INWORLD_BASE_URL": inworld.base_url,
        }
        crowd = await people(environ, folder, 40)
        trial = await running.enter_async_context(on_trial(environ, folder))
        traffic = Traffic(trial, crowd)
        await traffic.each_once()
        samples = await _watched(traffic, trial.pid, seconds, hands, pause, [upstream, fal, groq])
        for what in traffic.lost[:_MOST_LOST_SHOWN]:
            print(f"     {what}")
        counts = sorted(traffic.done.items())
        print(table(["deed", "times"], counts), flush=True)
        verdict.expect(not traffic.lost, f"nothing was lost ({len(traffic.lost)})")
        for what, values, share, least in (
            ("memory, KiB", [each.kib for each in samples], _MEMORY_SHARE, _MEMORY_LEAST),
            ("children's memory, KiB", [each.child_kib for each in samples], 0.2, 40_960),
            ("descriptors", [each.files for each in samples], _FILES_SHARE, _FILES_LEAST),
        ):
            found = trend(values, share=share, least=least)
            verdict.expect(
                found.is_flat,
                f"{what}: {found.early:,.0f} early, {found.late:,.0f} late, "
                f"{found.growth:+,.0f} (up to {found.allowed:+,.0f} is flat)",
            )
        verdict.expect(await trial.settled(), "no hold is left open")
        await trial.prove(verdict)
    return verdict.code()


async def _watched(
    traffic: Traffic,
    pid: int,
    seconds: float,
    hands: int,
    pause: float,
    stand_ins: Sequence[FakeOpenRouter | FakeFal | FakeGroq],
) -> list[Sample]:
    """Let the traffic run, look again and again; returns the looks after the warm-up."""
    began = time.monotonic()
    warm = began + min(_WARM_UP_SHARE * seconds, _LONGEST_WARM_UP)
    work = asyncio.create_task(traffic.run(hands, pause))
    samples: list[Sample] = []
    rows: list[list[object]] = []
    for look in range(1, _LOOKS + 1):
        await asyncio.sleep(max(0.0, began + seconds * look / _LOOKS - time.monotonic()))
        now = sample(pid)
        if now.at >= warm:
            samples.append(now)
        if look % (_LOOKS // 12) == 0:
            rows.append(_row(now, began, traffic, is_warm=now.at >= warm))
            print(" ".join(map(str, rows[-1])), flush=True)
        _forget(stand_ins)
    traffic.stop()
    await work
    heads = ["minute", "deeds", "KiB", "children's KiB", "descriptors", "counts"]
    print(table(heads, rows))
    return samples


def _row(now: Sample, began: float, traffic: Traffic, *, is_warm: bool) -> list[object]:
    minute = round((now.at - began) / 60, 2)
    deeds = sum(traffic.done.values())
    counts = "yes" if is_warm else "warm-up"
    return [minute, deeds, now.kib, now.child_kib, now.files, counts]


def _forget(stand_ins: Sequence[FakeOpenRouter | FakeFal | FakeGroq]) -> None:
    """What they remember of an hour would fill this process, which shares the machine."""
    for each in stand_ins:
        if isinstance(each, FakeOpenRouter):
            del each.requests[:-1_000]
            # A pace that lets clients leave, stop and come back in the middle of answers.
            each.endpoints.setdefault("groq", Reply(delay=0.02))
        elif isinstance(each, FakeGroq):
            del each.asked[:-100]


def main(given: Sequence[str] | None = None) -> int:
    """Read the command line and soak; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/soak",
        description="Chats over SSE and WebSocket, resumes, cuts, files, pictures, recordings, "
        "speech and status, for a long time, at stand-ins for every service. Exits with 1 where "
        "memory or descriptors grow after the warm-up, where anything is lost, or where the books "
        "cannot be proven.",
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--people", type=int, default=24, help="at a time (default: 24)")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two deeds")
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds: shows that it works, proves nothing"
    )
    options = parser.parse_args(given)
    if options.quick:
        return asyncio.run(soak(4.0, 4, 0.01))
    return asyncio.run(soak(options.minutes * 60, options.people, options.pause))


if __name__ == "__main__":
    sys.exit(main())
