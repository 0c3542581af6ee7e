"""slowhttptest against a running server: slow heads, slow bodies, slow readers, while people chat.

python -m fuzzing.slowness SECONDS
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from trials.people import people
from trials.rig import UNLIMITED, on_trial, trial_folder
from trials.traffic import Traffic
from trials.verdict import Verdict

from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import openrouter_environ

_CONNECTIONS = "400"
_WAYS = {
    "slow heads": ["-H", "-i", "2", "-r", "200"],
    "slow bodies": ["-B", "-i", "2", "-r", "200", "-s", "8192"],
    "slow readers": ["-X", "-w", "10", "-y", "20", "-n", "2", "-z", "5", "-k", "3", "-r", "200"],
}


async def slowness(seconds: float) -> int:
    """Each way for a third of the time; returns the exit code."""
    verdict = Verdict("slowhttptest")
    with trial_folder() as folder:
        async with FakeOpenRouter() as upstream:
            data = {"CHUK_DATA_DIR": str(folder / "data")}
            environ = {**UNLIMITED, **data, **openrouter_environ(upstream)}
            crowd = await people(environ, folder, 5)
            async with on_trial(environ, folder) as trial:
                for way, options in _WAYS.items():
                    traffic = Traffic(trial, crowd)
                    chats = asyncio.create_task(_chats(traffic))
                    await _attack(trial.url, options, seconds / len(_WAYS))
                    chats.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await chats
                    went, lost = traffic.done.total(), len(traffic.lost)
                    verdict.expect(went > 0 and not lost, f"{way}: {went} chats went well")
                await trial.prove(verdict)
    return verdict.code()


async def _chats(traffic: Traffic) -> None:
    while True:
        await traffic.do(traffic.chat)
        await traffic.do(traffic.socket_chat)


async def _attack(url: str, options: list[str], seconds: float) -> None:
    path = "/v1/models_info" if options[0] == "-X" else "/v1/ai/chat"
    process = await asyncio.create_subprocess_exec(
        *("slowhttptest", "-c", _CONNECTIONS, "-l", str(round(seconds)), "-p", "3"),
        *("-u", f"{url}{path}", *options),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(seconds + 60):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(slowness(float(sys.argv[1]))))
