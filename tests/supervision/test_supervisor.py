"""The parent of several workers, as somebody at a terminal sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chuk.cli import main
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, openrouter_environ, sse_events
from tests.processes import Finished, log_lines, run_chuk
from tests.redis_server import RedisServer
from tests.supervision.crews import WORKER, all_gone, below, crew, of_module


async def test_a_killed_parent_leaves_nobody_behind(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    async with crew(tmp_path, openrouter, redis_server) as running:
        processes = below(running.server.process.pid)
        assert len(processes) == 3
        running.server.process.kill()
        await running.server.process.wait()
        await all_gone(processes)
        # What they could not clean up is swept by the next ones, see `tests/test_scratch.py`.
        assert [path for path in (running.data / "tmp").iterdir() if path.is_dir()]


async def test_a_signal_lets_all_drain_and_a_second_one_hurries(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    body = {"model_id": MODEL, "message": "Hello"}
    async with crew(tmp_path, openrouter, redis_server) as running:
        process = running.server.process
        processes = below(process.pid)

        async def chat() -> list[object]:
            async with running.client.post(
                f"{running.url}/v1/ai/chat", json=body, headers=running.bearer()
            ) as answer:
                assert answer.status == 200, await answer.text()
                return sse_events(await answer.read())

        chats = [asyncio.create_task(chat()) for _ in range(2)]
        await openrouter.wait_until(
            lambda: [one.pieces_sent for one in openrouter.completions] == [1, 1]
        )
        process.send_signal(signal.SIGTERM)
        # Both drain now: who asks is told so, and who has an answer is not cut off.
        async with asyncio.timeout(30):
            while await running.status() != 503:
                pass
        assert not any(chat.done() for chat in chats)
        done = await running.server.stop(signal.SIGTERM)
        for events in await asyncio.gather(*chats):
            assert isinstance(events[-1], dict) and "error" in events[-1]
        assert (done.code, done.out) == (0, "")
        assert "Traceback" not in done.err
        await all_gone(processes)
        assert [path.name for path in (running.data / "tmp").iterdir()] == [".lock"]


@pytest.mark.parametrize(("options", "variable"), [(["--workers", "2"], ""), ([], "2")])
def test_without_redis_more_than_one_worker_is_refused(
    options: list[str],
    variable: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("CHUK_WORKERS", variable)
    assert main(["serve", *options]) == 2
    out, err = capsys.readouterr()
    (sentence,) = err.splitlines()
    assert out == ""
    assert sentence.startswith("chuk: CHUK_WORKERS: ") and "REDIS_URL" in sentence
    assert list(tmp_path.iterdir()) == []


async def test_a_taken_port_is_said_once(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    # Even by another server that shares it among its own workers.
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = await run_chuk(
            "serve",
            folder=tmp_path,
            CHUK_WORKERS="2",
            CHUK_PORT=str(port),
            REDIS_URL=redis_server.url,
            **openrouter_environ(openrouter),
        )
    assert (done.code, done.out) == (1, "")
    (sentence,) = done.err.splitlines()
    assert sentence.startswith("chuk: ") and str(port) in sentence


async def test_workers_that_cannot_start_end_the_parent_with_their_reason(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    models = tmp_path / "models.toml"
    models.write_text("nonsense = 1")
    done = await run_chuk(
        "serve",
        folder=tmp_path,
        CHUK_WORKERS="2",
        CHUK_PORT="0",
        CHUK_UPSTREAM_MODELS_FILE=str(models),
        REDIS_URL=redis_server.url,
        **openrouter_environ(openrouter),
    )
    assert (done.code, done.out) == (2, "")
    sentences = [line for line in done.err.splitlines() if line.startswith("chuk: ")]
    assert len(sentences) == 1 and "models.toml" in sentences[0]
    assert "Traceback" not in done.err


async def test_workers_that_die_at_start_again_and_again_end_the_parent_too(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    environ = {"REDIS_URL": redis_server.url, "CHUK_PORT": "0", "CHUK_WORKERS": "2"}
    serving = asyncio.create_task(
        run_chuk("serve", folder=tmp_path, **environ, **openrouter_environ(openrouter))
    )
    while not serving.done():
        for worker in of_module(WORKER, below(os.getpid())):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        await asyncio.sleep(0.01)
    done = await serving
    assert (done.code, done.out) == (1, "")
    deaths = [line for line in log_lines_of(done) if line["event"] == "worker ended"]
    assert all(line["code"] == -signal.SIGKILL for line in deaths)
    assert sorted({line["restart_in"] for line in deaths})[:3] == [0.0, 0.5, 1.0]
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("chuk: ")]
    assert "before it could serve" in sentence


def log_lines_of(done: Finished) -> list[dict[str, Any]]:
    """What was logged, without what is said to the person at the terminal."""
    return log_lines(
        "\n".join(line for line in done.err.splitlines() if not line.startswith("chuk: "))
    )
