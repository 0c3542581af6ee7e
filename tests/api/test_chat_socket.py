"""A WebSocket as a whole: who may speak on it, what it forgives, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import WSCloseCode, WSMsgType

from tests.api.socket_client import (
    NOBODY,
    STALLING,
    chats,
    closed_with,
    is_alive,
    message,
    refused,
)
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, turn_events


@pytest.mark.parametrize("prefix", ["", "Bearer "])
async def test_a_token_in_a_message_signs_in(server: RunningServer, prefix: str) -> None:
    async with server.socket(headers=NOBODY) as socket:
        assert await chats(socket, token=prefix + server.token())
        # Later messages need none.
        assert await chats(socket)
        assert await chats(socket, token=None)


async def test_a_bearer_header_signs_in(server: RunningServer) -> None:
    async with server.socket() as socket:
        assert await chats(socket)


async def test_without_any_token_a_message_is_refused_and_the_socket_lives(
    server: RunningServer,
) -> None:
    async with server.socket(headers=NOBODY) as socket:
        await socket.send_json(message())
        assert await refused(socket) == "UNAUTHORIZED"
        assert await chats(socket, token=server.token())


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("nonsense", "INVALID_TOKEN"),
        ("", "INVALID_TOKEN"),
        (7, "INVALID_TOKEN"),
        ("x" * 10**6, "INVALID_TOKEN"),
    ],
    ids=["nonsense", "empty", "number", "long"],
)
async def test_a_wrong_token_is_refused_and_the_one_before_stays(
    server: RunningServer, token: object, code: str
) -> None:
    async with server.socket() as socket:
        await socket.send_json(message(token=token))
        assert await refused(socket) == code
        assert await chats(socket)


async def test_an_expired_header_is_told_and_a_fresh_token_mends_it(
    server: RunningServer,
) -> None:
    async with server.socket(headers=server.bearer(seconds=-60)) as socket:
        await socket.send_json(message())
        event = await socket.receive_json()
        assert event["error"]["code"] == "TOKEN_EXPIRED"
        assert event["error"]["details"]["expired_at"].endswith("Z")
        assert await chats(socket, token=server.token())


async def test_three_bad_messages_in_a_row_close_the_socket(server: RunningServer) -> None:
    async with server.socket(headers=NOBODY) as socket:
        await socket.send_str("{")
        assert await refused(socket) == "INVALID_REQUEST"
        await socket.send_json(message(token="nonsense"))
        assert await refused(socket) == "INVALID_TOKEN"
        await socket.send_bytes(b"{}")
        assert await refused(socket) == "INVALID_REQUEST"
        assert await closed_with(socket) == WSCloseCode.POLICY_VIOLATION


async def test_a_good_message_between_bad_ones_is_a_new_start(server: RunningServer) -> None:
    async with server.socket() as socket:
        for _ in range(3):
            for _ in range(2):
                await socket.send_str("nonsense")
                assert await refused(socket) == "INVALID_REQUEST"
            assert await is_alive(socket)
        for _ in range(2):
            await socket.send_str("nonsense")
            assert await refused(socket) == "INVALID_REQUEST"
        assert await chats(socket)


async def test_turns_that_run_get_their_error_before_a_socket_is_closed_for_bad_messages(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with server.socket() as socket:
        await socket.send_json(message(id=1))
        while "content" not in await socket.receive_json():
            pass
        for _ in range(3):
            await socket.send_str("nonsense")
        rest = [frame.json() async for frame in socket]
        assert [
            event["error"]["code"] for event in rest if event.get("id") == 1 and "error" in event
        ] == ["STREAM_INTERRUPTED"]
        assert socket.close_code == WSCloseCode.POLICY_VIOLATION
        await openrouter.wait_for_disconnect()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        '"x"',
        "NaN",
        "[" * 10_000,
        '{"a":' * 10_000,
        "\x00",
        '{"a":1}{"b":2}',
    ],
)
async def test_what_is_no_json_object_is_refused(server: RunningServer, text: str) -> None:
    async with server.socket() as socket:
        await socket.send_str(text)
        assert await refused(socket) == "INVALID_REQUEST"
        assert await chats(socket)


async def test_a_binary_frame_and_broken_utf_8_are_refused(server: RunningServer) -> None:
    good = json.dumps(message()).encode()
    async with server.socket() as socket:
        await socket.send_bytes(good)
        assert await refused(socket) == "INVALID_REQUEST"
        await socket.send_frame(good.replace(b"Hello", b"H\xff"), WSMsgType.TEXT)
        assert await refused(socket) == "INVALID_REQUEST"
        assert await chats(socket)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"max_tokens": 0}, "INVALID_REQUEST"),
        ({"max_tokens": "512"}, "INVALID_REQUEST"),
        ({"temperature": 3}, "INVALID_REQUEST"),
        ({"message": ""}, "INVALID_REQUEST"),
        ({"history": "no"}, "INVALID_REQUEST"),
        ({"images": ["data:image/jpeg;base64,iVBORw0KGgo="]}, "INVALID_REQUEST"),
        ({"images": ["data:image/jpeg;base64,JVBERi0="]}, "UNSUPPORTED_FORMAT"),
        ({"model_id": "no/such"}, "MODEL_NOT_FOUND"),
        ({"provider_slug": "chutes/bf16"}, "MODEL_NOT_FOUND"),
        ({"type": "dance"}, "INVALID_REQUEST"),
        ({"type": ["cancel"]}, "INVALID_REQUEST"),
    ],
    ids=str,
)
async def test_a_wrong_turn_is_refused_under_its_id_however_often(
    server: RunningServer, fields: dict[str, Any], code: str
) -> None:
    async with server.socket() as socket:
        # More than three: it is JSON and signed in, so it does not count as bad.
        for _ in range(5):
            await socket.send_json(message(id="mine", **fields))
            event = await socket.receive_json(timeout=30)
            assert event.pop("id") == "mine"
            assert event["error"]["code"] == code
        assert await chats(socket)


@pytest.mark.parametrize("identity", [True, 1.5, [], {}, 10**30, "x" * 129])
async def test_a_wrong_id_is_refused_without_one(server: RunningServer, identity: Any) -> None:
    async with server.socket() as socket:
        await socket.send_json(message(id=identity))
        assert await refused(socket) == "INVALID_REQUEST"
        assert await chats(socket)


async def test_the_bare_profile_says_errors_as_the_app_reads_them(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b"], break_after=1))
    async with server.socket(query="?profile=bare") as socket:
        await socket.send_str("{")
        event = await socket.receive_json()
        assert list(event) == ["error", "code", "details"]
        assert isinstance(event["error"], str) and event["code"] == "INVALID_REQUEST"
        await socket.send_json(message(id=1))
        event = (await turn_events(socket))[-1]
        assert list(event) == ["id", "error", "code", "details"]
        assert isinstance(event["error"], str) and event["code"] == "STREAM_INTERRUPTED"


async def test_the_deployments_profile_counts_where_none_is_chosen(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_WIRE_PROFILE="bare") as server:
        for query, is_bare in (("", True), ("?profile=envelope", False), ("?profile=odd", True)):
            async with server.socket(query=query) as socket:
                await socket.send_str("{")
                event = await socket.receive_json()
                assert isinstance(event["error"], str) is is_bare
