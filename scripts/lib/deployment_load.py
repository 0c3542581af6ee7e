"""Asks a server in all ways until a file is there; fails when anybody was refused or cut."""

import asyncio
import collections
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import aiohttp

ADDRESS = "http://127.0.0.1:8080"
ADMIN = "/opt/chuk/current/scripts/admin"
CHAT = {"model_id": "local/gemma-3-270m", "message": "Tell me a long story.", "max_tokens": 60}

LOOK = 0.1
WELL = {"health 200", "whole answers", "asked to wait"}

stop = Path(sys.argv[1])
found: collections.Counter[str] = collections.Counter()


async def come_and_go(client: aiohttp.ClientSession) -> None:
    """Connect, ask, and leave."""
    while not stop.exists():  # noqa: ASYNC240
        async with client.get(f"{ADDRESS}/health") as answer:
            found[f"health {answer.status}"] += 1


async def stream(client: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    """Read whole answers."""
    while not stop.exists():  # noqa: ASYNC240
        async with client.post(f"{ADDRESS}/v1/ai/chat", json=CHAT, headers=headers) as answer:
            body = await answer.read()
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                found["asked to wait"] += 1
                await wait(float(answer.headers["Retry-After"]))
                continue
            is_whole = answer.status == 200 and body.rstrip().endswith(b"[DONE]")
            found["whole answers" if is_whole else f"answer {answer.status} cut"] += 1


async def wait(seconds: float) -> None:
    """Wait so long, or until the file is there."""
    until = asyncio.get_running_loop().time() + seconds
    while not stop.exists() and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(LOOK)


async def main(token: str) -> int:
    """Run until the file is there."""
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as client, asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(come_and_go(client))
        for _ in range(2):
            group.create_task(stream(client, headers))
    print(dict(found))
    is_well = {"health 200", "whole answers"} <= set(found)
    return 0 if is_well and set(found) <= WELL else 1


printed = subprocess.run([ADMIN, "token"], check=True, capture_output=True, text=True)
sys.exit(asyncio.run(main(printed.stdout.strip())))
