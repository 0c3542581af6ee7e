"""The child process of the embedded model, spoken to as its parent does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from chuk.adapters.gguf import embedded_weights
from tests.adapters.local_model import REPOSITORY

_KEY = "key-of-this-test"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's file."""
    return embedded_weights(tmp_path_factory.mktemp("models"))


async def _child(model: Path, *flags: str, stderr: int = PIPE) -> tuple[Process, Any]:
    """Start a child, give it its orders, and read its one answer."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *flags,
        "-m",
        "chuk.adapters.llama_child",
        cwd=REPOSITORY,
        stdin=PIPE,
        stdout=PIPE,
        stderr=stderr,
    )
    assert child.stdin is not None and child.stdout is not None
    orders = {"model": str(model), "context_length": 512, "threads": 1, "api_key": _KEY}
    child.stdin.write(json.dumps(orders).encode() + b"\n")
    async with asyncio.timeout(30):
        return child, json.loads(await child.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels keep no such score")
async def test_when_memory_is_short_the_model_goes_before_the_server(weights: Path) -> None:
    child, _ = await _child(weights)
    scores = [
        int(Path(f"/proc/{process}/oom_score_adj").read_text())
        for process in (child.pid, os.getpid())
    ]
    assert scores[0] > scores[1]
    assert child.stdin is not None
    child.stdin.close()
    assert await child.wait() == 0


async def test_nothing_that_is_written_to_the_model_is_printed_and_its_input_ends_it(
    weights: Path,
) -> None:
    child, answer = await _child(weights)
    secret = "the zebra sleeps in the blue kitchen"
    headers = {"Authorization": f"Bearer {_KEY}"}
    url = f"{answer['address']}/v1/chat/completions"
    good = {"messages": [{"role": "user", "content": secret}], "max_tokens": 8}
    long = {"messages": [{"role": "user", "content": secret * 200}]}
    wrong = {"messages": [{"role": secret, "content": secret}], "temperature": secret}
    async with aiohttp.ClientSession(headers=headers) as session:
        statuses = []
        for body in (good, long, wrong):
            async with session.post(url, json=body) as response:
                statuses.append(response.status)
    assert statuses[:2] == [200, 400]
    assert statuses[2] >= 400
    assert child.stdin is not None
    # As the kernel does for a parent that dies.
    child.stdin.close()
    async with asyncio.timeout(30):
        printed, complained = await child.communicate()
    assert child.returncode == 0
    assert printed == b""
    assert complained == b""


async def test_without_llama_cpp_it_says_how_to_install_it(weights: Path) -> None:
    child, answer = await _child(weights, "-S", stderr=DEVNULL)
    assert "pip install 'chuk[local]'" in answer["problem"]
    assert await child.wait() == 1
