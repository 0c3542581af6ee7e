"""An answer is taken up again at another server than the one that runs it, or ran it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chuk.accounts.issuer import DEFAULT_USER
from tests.api.stream_client import (
    code_of,
    cut_after,
    last_id,
    listed,
    receive,
    resumed,
    stopped,
    stream_of,
    whole,
)
from tests.conftest import StartServer
from tests.credits.people import receipts_of
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, answer_text, sse_events
from tests.redis_server import RedisServer

STALLING = Reply(content=["a", "b", "c"], stall_after=1)

Servers = tuple[RunningServer, RunningServer]


@asynccontextmanager
async def two_servers(
    start_server: StartServer, redis_server: RedisServer, **environ: str
) -> AsyncIterator[Servers]:
    """Servers with the same books and the same Redis."""
    # So that no hiccup of a busy machine is an outage.
    shared = {"REDIS_URL": redis_server.url, "CHUK_REDIS_TIMEOUT": "10", **environ}
    async with start_server(**shared) as one, start_server(**shared) as other:
        yield one, other


@pytest.fixture
async def servers(start_server: StartServer, redis_server: RedisServer) -> AsyncIterator[Servers]:
    """Two servers, with default settings."""
    async with two_servers(start_server, redis_server) as running:
        yield running


async def test_an_answer_is_read_again_elsewhere_byte_for_byte(
    servers: Servers, openrouter: FakeOpenRouter
) -> None:
    one, other = servers
    openrouter.script(Reply(content=["Hel", "lo, ", 'wor"ld\n', "🙂"], reasoning=["Hm", "m"]))
    body = await whole(one)
    stream = stream_of(body)
    frames = [block + b"\n\n" for block in body.split(b"\n\n")[:-1]]
    for number in range(len(frames)):
        expected = b"".join(frames[number:])
        assert await resumed(other, stream, after=number) == (200, expected)
    assert await listed(other) == await listed(one)
    assert len(openrouter.completions) == 1


async def test_an_answer_that_still_comes_is_followed_elsewhere_to_its_end(
    servers: Servers, openrouter: FakeOpenRouter
) -> None:
    one, other = servers
    openrouter.script(STALLING)
    begun = await cut_after(one, 3)
    async with other.socket() as socket:
        await socket.send_json({"type": "resume", "stream": stream_of(begun), "after": 3})
        following = asyncio.create_task(resumed(other, stream_of(begun), last=last_id(begun)))
        openrouter.release.set()
        assert [await receive(socket) for _ in range(2)] == [{"content": "b"}, {"content": "c"}]
        _, rest = await following
    assert answer_text(sse_events(rest)[:-1]) == "bc" and rest.endswith(b"data: [DONE]\n\n")
    assert openrouter.disconnects == 0
    (receipt,) = await receipts_of(one, DEFAULT_USER)
    assert receipt["outcome"] == "completed"


async def test_an_answer_is_stopped_from_elsewhere(
    servers: Servers, openrouter: FakeOpenRouter
) -> None:
    one, other = servers
    openrouter.script(STALLING)
    begun = await cut_after(one, 3)
    following = asyncio.create_task(resumed(other, stream_of(begun), last=last_id(begun)))
    status, _ = await stopped(other, stream_of(begun))
    assert status < 300
    await openrouter.wait_for_disconnect()
    *_, usage, _tps, end = sse_events((await following)[1])
    assert usage["usage"]["finish_reason"] == "cancelled" and end == "[DONE]"


async def test_whoever_follows_elsewhere_keeps_the_turn_alive_beyond_the_grace_time(
    start_server: StartServer, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING, STALLING)
    async with two_servers(start_server, redis_server, CHUK_RESUME_GRACE="0.3") as (one, other):
        begun = await cut_after(one, 3)
        following = asyncio.create_task(resumed(other, stream_of(begun), last=last_id(begun)))
        # One that was lost later has been given up by now.
        await cut_after(one, 3)
        await openrouter.wait_for_disconnect()
        assert openrouter.open_completions == 1
        openrouter.release.set()
        assert answer_text(sse_events((await following)[1])[:-1]) == "bc"


async def test_who_follows_a_server_that_restarts_hears_a_clean_end(
    start_server: StartServer, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    environ = {"REDIS_URL": redis_server.url, "CHUK_REDIS_TIMEOUT": "10"}
    async with start_server(**environ) as other:
        async with start_server(**environ) as one:
            begun = await cut_after(one, 3)
            following = asyncio.create_task(resumed(other, stream_of(begun), last=last_id(begun)))
            await asyncio.sleep(0)
        *_, end = sse_events((await following)[1])
        assert end["error"]["code"] == "SERVICE_UNAVAILABLE"
        # Nor is anything of it lost now that its server is gone.
        _, again = await resumed(other, stream_of(begun))
        assert again.startswith(begun) and sse_events(again)[-1] == end


async def test_while_redis_is_away_only_answers_of_the_same_server_are_resumed(
    servers: Servers, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    one, other = servers
    openrouter.script(STALLING, Reply(content=["a", "b"]))
    begun = await cut_after(one, 3)
    redis_server.stop()
    status, body = await resumed(other, stream_of(begun), last=last_id(begun))
    assert (status, code_of(body)) == (503, "SERVICE_UNAVAILABLE")
    openrouter.release.set()
    status, rest = await resumed(one, stream_of(begun), last=last_id(begun))
    assert (status, answer_text(sse_events(rest)[:-1])) == (200, "bc")
    assert answer_text((await other.chat())[:-1]) == "ab"
    redis_server.start()
    async with asyncio.timeout(30):
        # It is found out within a second; then what was missed is brought.
        while (healed := await resumed(other, stream_of(begun), after=3))[0] != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert healed == (200, rest)
