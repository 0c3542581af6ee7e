"""Several servers and one Redis: what they share, and what they do while it is away."""

from __future__ import annotations

from pathlib import Path

from chuk.adapters.redis.presence import RedisPresence
from chuk.web.keys import PRESENCE
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, eventually, live_sse, openrouter_environ
from tests.processes import run_chuk
from tests.redis_server import RedisServer

# So that no hiccup of a busy machine is an outage.
PATIENTLY = {"CHUK_REDIS_TIMEOUT": "10"}


async def models_status(server: RunningServer) -> tuple[int, str]:
    """The status of a limited route, and what is left of its limit."""
    async with server.client.get(f"{server.url}/v1/ai/models", headers=server.bearer()) as answer:
        return answer.status, answer.headers["X-RateLimit-Remaining"]


async def active_connections(server: RunningServer) -> int:
    """What `/health` says, which is well."""
    async with server.client.get(f"{server.url}/health") as answer:
        assert answer.status == 200
        body = await answer.json()
    connections: int = body["data"]["active_connections"]
    return connections


async def shown(*servers: RunningServer) -> None:
    """Let each server show itself now, and learn of the others; not only every other second."""
    for server in (*servers, *servers):
        presence = server.app[PRESENCE]
        assert isinstance(presence, RedisPresence)
        await presence.show()


async def test_a_limit_counts_over_all_servers(
    start_server: StartServer, redis_server: RedisServer
) -> None:
    environ = {"REDIS_URL": redis_server.url, "CHUK_LIMIT_OTHER": "3", **PATIENTLY}
    async with start_server(**environ) as one, start_server(**environ) as other:
        answers = [await models_status(server) for server in (one, other, one, other, one)]
        assert answers == [(200, "2"), (200, "1"), (200, "0"), (429, "0"), (429, "0")]


async def test_health_tells_the_connections_of_all_servers(
    start_server: StartServer, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    environ = {"REDIS_URL": redis_server.url, **PATIENTLY}
    async with start_server(**environ) as one, start_server(**environ) as other:
        openrouter.script(Reply(content=["word "] * 8, stall_after=2))
        async with one.socket(), live_sse(other) as events:
            async for event in events:
                if "content" in event:
                    break
            await shown(one, other)
            assert [await active_connections(each) for each in (one, other)] == [2, 2]
            openrouter.release.set()
            async for _ in events:
                pass
        await eventually(lambda: openrouter.open_completions == 0)


async def test_without_redis_everything_goes_on_and_heals(
    start_server: StartServer, redis_server: RedisServer
) -> None:
    environ = {"REDIS_URL": redis_server.url, "CHUK_LIMIT_CHAT": "3", **PATIENTLY}
    async with start_server(**environ) as server:
        assert (await server.chat())[-1] == "[DONE]"
        redis_server.stop()
        for _ in range(3):
            assert (await server.chat())[-1] == "[DONE]"
        # Counted by this server alone now; it had not heard of the first.
        async with server.client.post(
            f"{server.url}/v1/ai/chat", headers=server.bearer(), json={}
        ) as answer:
            assert answer.status == 429
        assert await active_connections(server) == 0
        redis_server.start()
        await eventually(lambda: len(_keys(redis_server)) > 0)
        assert (await server.chat())[-1] == "[DONE]"


async def test_a_server_starts_while_redis_is_away(
    start_server: StartServer, redis_server: RedisServer
) -> None:
    redis_server.stop()
    async with start_server(REDIS_URL=redis_server.url, **PATIENTLY) as server:
        assert await active_connections(server) == 0
        assert (await server.chat())[-1] == "[DONE]"


async def test_doctor_asks_redis_and_keeps_its_password(
    tmp_path: Path, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    environ = openrouter_environ(openrouter)
    with redis_server.client() as client:
        client.acl_setuser(
            "tester", enabled=True, passwords=["+hush"], commands=["+@all"], keys=["*"]
        )
    url = redis_server.url.replace("redis://", "redis://tester:hush@")
    for is_there in (True, False):
        if not is_there:
            redis_server.stop()
        done = await run_chuk("doctor", folder=tmp_path, REDIS_URL=url, **environ)
        (line,) = [line for line in done.out.splitlines() if " sharing " in line]
        assert line.split()[0] == ("ok" if is_there else "FAIL"), done
        assert f"127.0.0.1:{redis_server.port}" in line
        assert "hush" not in done.out + done.err


def _keys(server: RedisServer) -> list[bytes]:
    with server.client() as client:
        keys = client.keys("*")
    assert isinstance(keys, list)
    return keys
