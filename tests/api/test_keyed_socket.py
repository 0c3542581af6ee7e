"""Turns over a WebSocket whose `id` is a key: one answer, paid once."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.credits.people import receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, answer_text, turn_events

WORDS = ["One", " two", " three"]


async def ask(socket: aiohttp.ClientWebSocketResponse, key: object, **fields: Any) -> None:
    """Begin a turn with its id as its key."""
    await socket.send_json(
        {"id": key, "idempotent": True, "model_id": MODEL, "message": "Count", **fields}
    )


async def answer(socket: aiohttp.ClientWebSocketResponse, key: object, **fields: Any) -> list[Any]:
    """One whole turn with its id as its key."""
    await ask(socket, key, **fields)
    return await turn_events(socket)


async def test_a_repeat_gets_the_same_events_on_any_socket(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    openrouter.script(Reply(content=WORDS))
    async with server.socket(headers=server.bearer(user)) as socket:
        first = await answer(socket, "turn-1")
        assert await answer(socket, "turn-1") == first
    async with server.socket(headers=server.bearer(user)) as socket:
        assert await answer(socket, "turn-1") == first
    assert first[-1] == {"id": "turn-1", "done": True}
    assert answer_text(first) == "One two three"
    assert len(openrouter.completions) == 1
    assert len(await receipts_of(server, user)) == 1


async def test_a_client_that_left_goes_on_by_its_key(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user, gate = await rich(server), asyncio.Event()
    openrouter.script(Reply(content=WORDS, gates={1: gate}))
    async with server.socket(headers=server.bearer(user)) as socket:
        await ask(socket, 7)
        await openrouter.wait_until(lambda: openrouter.open_completions == 1)
    async with server.socket(headers=server.bearer(user)) as socket:
        await ask(socket, 7)
        gate.set()
        assert answer_text(await turn_events(socket)) == "One two three"
    assert len(openrouter.completions) == 1


async def test_either_transport_knows_the_keys_of_the_other(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    async with server.socket(headers=server.bearer(user)) as socket:
        first = await answer(socket, "turn-1")
    body = {"model_id": MODEL, "message": "Count"}
    headers = {**server.bearer(user), "Idempotency-Key": "turn-1"}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=body, headers=headers
    ) as response:
        assert response.headers["Idempotency-Replayed"] == "true"
        assert first[0]["stream"]["id"] in await response.text()
    assert len(openrouter.completions) == 1


async def test_an_id_that_is_no_key_means_nothing_beyond_its_socket(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    async with server.socket(headers=server.bearer(user)) as socket:
        for idempotent in (None, False):
            await answer(socket, "turn-1", idempotent=idempotent)
    assert len(openrouter.completions) == 2


async def test_another_message_under_the_same_key_is_a_conflict(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    async with server.socket(headers=server.bearer(await rich(server))) as socket:
        await answer(socket, "turn-1")
        (event,) = await answer(socket, "turn-1", message="Count down")
        assert event["id"] == "turn-1"
        assert event["error"]["code"] == "IDEMPOTENCY_CONFLICT"
        # The socket goes on.
        assert (await answer(socket, "turn-2"))[-1]["done"]
    assert len(openrouter.completions) == 2


@pytest.mark.parametrize("key", [None, "two words", "schlüssel"])
async def test_what_cannot_be_a_key_is_refused(
    server: RunningServer, openrouter: FakeOpenRouter, key: object
) -> None:
    async with server.socket(headers=server.bearer(await rich(server))) as socket:
        (event,) = await answer(socket, key)
        assert event["error"]["code"] == "INVALID_REQUEST"
        (event,) = await answer(socket, "turn-1", idempotent="yes")
        assert list(event["error"]["details"]["fields"]) == ["idempotent"]
    assert openrouter.completions == []


async def test_stopping_a_repeat_stops_the_turn(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    headers = server.bearer(await rich(server))
    openrouter.script(Reply(content=WORDS, stall_after=1))
    async with server.socket(headers=headers) as first, server.socket(headers=headers) as second:
        for socket in (first, second):
            await ask(socket, "turn-1")
            while "content" not in await socket.receive_json():
                pass
        await second.send_json({"type": "cancel", "id": "turn-1"})
        for socket in (first, second):
            assert (await turn_events(socket))[-1] == {"id": "turn-1", "done": True}
    await openrouter.wait_for_disconnect()


async def test_a_stop_in_the_same_breath_is_not_lost(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    headers = server.bearer(await rich(server))
    openrouter.script(Reply(content=WORDS, stall_after=1), Reply(content=WORDS, stall_after=1))
    async with server.socket(headers=headers) as socket:
        await ask(socket, "turn-1")
        await socket.send_json({"type": "cancel", "id": "turn-1"})
        assert (await turn_events(socket))[-1] == {"id": "turn-1", "done": True}
    async with server.socket(headers=headers) as first, server.socket(headers=headers) as second:
        await ask(first, "turn-2")
        while "content" not in await first.receive_json():
            pass
        await ask(second, "turn-2")
        await second.send_json({"type": "cancel", "id": "turn-2"})
        for socket in (first, second):
            assert (await turn_events(socket))[-1] == {"id": "turn-2", "done": True}


async def test_a_failure_is_told_on_the_socket_and_frees_the_key(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    async with server.socket(headers=server.bearer(await rich(server))) as socket:
        (event,) = await answer(socket, "turn-1", model_id="no/such")
        assert event["error"]["code"] == "MODEL_NOT_FOUND"
        assert (await answer(socket, "turn-1"))[-1]["done"]
    assert len(openrouter.completions) == 1
