"""API4:2023, unrestricted resource consumption: nobody gets more than a share of the machine.

Kept elsewhere: sizes, slowness and bombs of bodies (tests/web/test_bodies.py, test_uploads.py,
test_packed_bodies.py), JSON and forms without end (test_json_bodies.py, test_form_bodies.py), zip
bombs and other hostile files (tests/media/test_reading_hostile.py), clients that read slowly
(tests/api/test_stream_ends.py, test_socket_life.py), rates (tests/web/test_limits.py), jobs at once
(tests/media/test_jobs.py). `scripts/fuzz` runs slowhttptest against slow heads, bodies and readers.
"""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import aiohttp
import pytest

from tests.api.socket_client import chats, is_alive, message, refused
from tests.conftest import StartServer
from tests.credits.people import rich
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, RunningServer
from tests.raw_http import raw_connection, request_bytes
from tests.security.attacks import ask
from tests.web.sending import lives_on

USER = UUID(int=3)


async def opens(server: RunningServer, headers: dict[str, str]) -> int:
    """The status of one more upgrade, which is closed again."""
    try:
        async with server.client.ws_connect(f"{server.url}/v1/ai/chat/ws", headers=headers):
            return 101
    except aiohttp.WSServerHandshakeError as error:
        return error.status


async def test_a_user_has_so_many_sockets_and_no_more(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_SOCKETS="3") as server:
        mine = server.bearer(USER)
        async with AsyncExitStack() as open_ones:
            for _ in range(3):
                await open_ones.enter_async_context(server.socket(headers=mine))
            assert await opens(server, mine) == 429
            # Nobody else is hindered, and who closes one may open another.
            assert await opens(server, server.bearer(uuid4())) == 101
        # The server learns a moment later that they are closed.
        async with asyncio.timeout(30):
            while await opens(server, mine) != 101:
                pass


async def test_strangers_of_one_address_share_what_one_user_has(start_server: StartServer) -> None:
    async with (
        start_server(CHUK_LIMIT_SOCKETS="2", CHUK_LIMIT_ADDRESS="1000") as server,
        server.socket(headers={}) as first,
        server.socket(headers={}) as second,
    ):
        assert await opens(server, {}) == 429
        # Signed in, they are their user's, and strangers may come again.
        await first.send_json(message(token=server.token()))
        while "done" not in await first.receive_json(timeout=30):
            pass
        assert await opens(server, {}) == 101
        await second.send_json(message(token=server.token()))
        while "done" not in await second.receive_json(timeout=30):
            pass
        async with server.socket(headers={}) as third:
            await third.send_json(message(token=server.token()))
            assert await refused(third) == "RATE_LIMITED"
            assert await is_alive(third)


async def test_a_stranger_cannot_keep_a_socket_by_talking(start_server: StartServer) -> None:
    async with (
        start_server(CHUK_CHAT_SOCKET_SIGN_IN_TIMEOUT="0.3") as server,
        server.socket(headers={}) as stranger,
        server.socket() as known,
    ):
        while not stranger.closed:
            await stranger.send_json({"type": "ping"})
            frame = await stranger.receive(timeout=30)
            if frame.type is not aiohttp.WSMsgType.TEXT:
                break
        assert stranger.close_code == 1008
        assert await chats(known)


async def test_a_flood_of_requests_in_one_packet_is_answered_one_by_one(
    start_server: StartServer,
) -> None:
    count = 300
    async with (
        start_server(CHUK_LIMIT_ADDRESS="50") as server,
        raw_connection(server.url) as connection,
    ):
        await connection.send(request_bytes("GET", "/") * count)
        statuses = [(await connection.answer()).status for _ in range(count)]
    # A few drip out of the bucket meanwhile.
    assert statuses[:50] == [200] * 50
    assert statuses.count(429) > count // 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json" + ";profile=" * 1_000},
        {"Accept": "application/json;" + " " * 7_000 + "profile=bare"},
        {"X-Request-ID": "a" * 8_000},
        {"Last-Event-ID": ":" * 7_000},
        {"Authorization": "Bearer " + "." * 7_000},
        {"If-None-Match": '"a",' * 1_500},
        {"Content-Type": "multipart/form-data; boundary=" + '"' * 1_000},
        {"Content-Type": "application/json;" + "a=b;" * 1_500},
        {"X-Forwarded-For": "1," * 3_500},
        {"Origin": "https://" + "a." * 3_000},
        {"Range": "bytes=" + "0-1," * 1_500},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_no_header_keeps_the_server_busy(
    start_server: StartServer, headers: dict[str, str]
) -> None:
    async with start_server(CHUK_TRUSTED_PROXIES="127.0.0.1", CHUK_LIMIT_ADDRESS="100") as server:
        for method, path in (
            ("GET", "/v1/models_info"),
            ("POST", "/v1/ai/chat"),
            ("GET", "/v1/ai/chat/streams/x"),
        ):
            sent = {**server.bearer(), **headers}
            async with raw_connection(server.url) as connection:
                await connection.send(request_bytes(method, path, {"Content-Length": "0", **sent}))
                assert (await connection.answer()).status < 500
        await lives_on(server)


async def test_a_question_longer_than_any_context_is_never_sent(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    for fields in (
        {"message": "word " * 400_000},
        {"message": "x", "system_prompt": "word " * 400_000},
        {"message": "x", "history": [{"role": "user", "content": "word " * 400_000}]},
    ):
        body = io.BytesIO(json.dumps({"model_id": MODEL, **fields}).encode())
        told = await ask(
            server,
            "POST",
            "/v1/ai/chat",
            user,
            data=body,
            headers={"Content-Type": "application/json"},
        )
        assert (told.status, told.code) == (400, "CONTEXT_TOO_LONG")
    assert openrouter.completions == []


async def test_keys_of_an_object_that_collide_are_no_attack(server: RunningServer) -> None:
    # Numbers and texts whose hashes fall together in many languages' tables.
    pairs = ("Aa", "BB")
    names = [""]
    for _ in range(14):
        names = [name + pair for name in names for pair in pairs]
    fields = {**dict.fromkeys(names, 0), "model_id": MODEL, "message": "Hello"}
    body = io.BytesIO(json.dumps(fields).encode())
    told = await ask(
        server,
        "POST",
        "/v1/ai/chat",
        await rich(server),
        data=body,
        headers={"Content-Type": "application/json"},
    )
    assert told.status == 200


async def test_nobody_collects_keys_without_end(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_OTHER="10000") as server:
        user = uuid4()
        status, made = 200, 0
        while status == 200 and made < 1_000:
            told = await ask(server, "POST", "/v1/user/api-keys", user, json={"name": f"k{made}"})
            status, made = told.status, made + 1
        assert status in (400, 403, 409, 429)
        assert made < 1_000


async def test_sockets_that_break_off_leave_nothing_behind(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="1000", CHUK_LIMIT_SOCKETS="5") as server:
        for _ in range(20):
            async with raw_connection(server.url) as connection:
                await connection.send(
                    request_bytes(
                        "GET",
                        "/v1/ai/chat/ws",
                        {
                            "Upgrade": "websocket",
                            "Connection": "Upgrade",
                            "Sec-WebSocket-Version": "13",
                            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
                        },
                    )
                )
                status = (await connection.answer(has_body=False)).status
                # A frame that announces 20 MB and brings three bytes.
                await connection.send(
                    b"\x81\xff" + (20_000_000).to_bytes(8, "big") + b"\0\0\0\0{{{"
                )
            assert status in (101, 429)
        async with server.client.get(f"{server.url}/health") as answer:
            body = await answer.json()
        async with asyncio.timeout(30):
            while body["data"]["active_connections"]:
                async with server.client.get(f"{server.url}/health") as answer:
                    body = await answer.json()
