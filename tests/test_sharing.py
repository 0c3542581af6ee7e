"""Several servers and one Redis: what they share, and what they do while it is away."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path

import pytest

from chuk.accounts.issuer import DEFAULT_USER
from chuk.adapters.redis.presence import RedisPresence
from chuk.app.sharing import make_sharing
from chuk.errors import ServiceUnavailable
from chuk.settings import load
from chuk.web.keys import LOCKED_ACCOUNTS, PRESENCE
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, eventually, live_sse, openrouter_environ, running_server
from tests.redis_server import PATIENTLY, RedisServer


async def models_status(server: RunningServer) -> tuple[int, str]:
    """The status of a limited route, and what is left of its limit."""
    async with server.client.get(f"{server.url}/v1/ai/models", headers=server.bearer()) as answer:
        return answer.status, answer.headers.get("X-RateLimit-Remaining", "")


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


async def test_an_account_deleted_at_one_server_is_gone_from_all(
    start_server: StartServer, redis_server: RedisServer, openrouter: FakeOpenRouter
) -> None:
    environ = {"REDIS_URL": redis_server.url, "CHUK_DELETION_FIRST_RETRY": "0.05", **PATIENTLY}
    async with start_server(**environ) as one, start_server(euros=0, **environ) as other:
        # Both have let it in, and remember so.
        assert [(await models_status(server))[0] for server in (one, other)] == [200, 200]
        openrouter.script(Reply(content=["word "] * 8, stall_after=2))
        async with live_sse(one) as events:
            async for event in events:
                if "content" in event:
                    break
            deleting = asyncio.create_task(delete_account(other))
            # What each process does every other second.
            await eventually_locked(one)
            last = [event async for event in events][-1]
        assert last == "[DONE]" or "error" in last
        await deleting
        assert [(await models_status(server))[0] for server in (one, other)] == [403, 403]
        pending = ["something"]
        async with asyncio.timeout(30):
            while pending:
                pending = await delete_account(other)


async def eventually_locked(server: RunningServer) -> None:
    """Let a server look at what others have locked, until it has seen the default user."""
    locks = server.app[LOCKED_ACCOUNTS]
    async with asyncio.timeout(30):
        while not locks.is_known_locked(DEFAULT_USER):
            await locks.look()


async def delete_account(server: RunningServer) -> list[str]:
    """What is left to do of it."""
    async with server.client.delete(
        f"{server.url}/v1/user/delete-account", headers=server.bearer()
    ) as answer:
        assert answer.status == 200
        body = await answer.json()
    pending: list[str] = body["data"]["pending"]
    return pending


async def test_a_picture_is_served_by_a_machine_with_another_folder(
    redis_server: RedisServer, openrouter: FakeOpenRouter, tmp_path: Path
) -> None:
    environ = {
        **openrouter_environ(openrouter),
        "REDIS_URL": redis_server.url,
        "CHUK_STREAM_KEY": b64encode(bytes(range(32))).decode(),
        **PATIENTLY,
    }
    async with (
        running_server(environ, tmp_path / "one") as one,
        running_server(environ, tmp_path / "other") as other,
    ):
        async with one.client.post(
            f"{one.url}/v1/ai/generate-image",
            json={"prompt": "a hill", "custom_width": 64, "custom_height": 64},
            headers=one.bearer(),
        ) as answer:
            assert answer.status == 200, await answer.text()
            drawn = (await answer.json())["data"]["image_url"]
        bodies = []
        for server in (one, other):
            async with server.client.get(drawn.replace(one.url, server.url)) as answer:
                assert answer.status == 200
                bodies.append(await answer.read())
        assert bodies[0] == bodies[1]


async def test_doctor_asks_redis_and_keeps_its_password(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        client.acl_setuser(
            "tester", enabled=True, passwords=["+hush"], commands=["+@all"], keys=["*"]
        )
    url = redis_server.url.replace("redis://", "redis://tester:hush@")
    settings = load({"REDIS_URL": url, "CHUK_REDIS_TIMEOUT": "10"}, directory=tmp_path)
    sharing = make_sharing(settings, "doctor", carries=lambda: 0)
    assert f"127.0.0.1:{redis_server.port}" in sharing.part.using
    assert "hush" not in sharing.part.using
    assert await sharing.part.check() == "answers; 0 process(es) share it"
    redis_server.stop()
    with pytest.raises(ServiceUnavailable):
        await sharing.part.check()
    await sharing.close()


def _keys(server: RedisServer) -> list[bytes]:
    with server.client() as client:
        keys = client.keys("*")
    assert isinstance(keys, list)
    return keys
