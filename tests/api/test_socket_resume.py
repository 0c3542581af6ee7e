"""An answer that a connection lost is taken up again on a WebSocket, exactly where it was."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.api.socket_client import STALLING, closed_with, is_alive, message
from tests.api.stream_client import cut_after, receive, resumed, stream_of, whole
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, answer_text, sse_events, turn_events


def resume(stream: str, after: int = 0, **fields: Any) -> dict[str, Any]:
    """The message that asks for the rest."""
    return {"type": "resume", "stream": stream, "after": after, **fields}


async def lost_on_a_socket(server: RunningServer, count: int) -> list[Any]:
    """Ask over a WebSocket, read this many events, and close without a word."""
    async with server.socket() as socket:
        await socket.send_json(message())
        return [await receive(socket) for _ in range(count)]


async def test_every_cut_is_mended(server: RunningServer, openrouter: FakeOpenRouter) -> None:
    openrouter.script(Reply(content=["a", "b"], reasoning=["Hm"]))
    async with server.socket() as socket:
        await socket.send_json(message())
        events = await turn_events(socket)
        stream = events[0]["stream"]["id"]
        for after in range(len(events)):
            await socket.send_json(resume(stream, after))
            assert await turn_events(socket) == events[after:]
        await socket.send_json(resume(stream, 1_000))
        assert await turn_events(socket) == [{"done": True}]


async def test_a_socket_that_closes_without_a_cancel_loses_nothing(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    first = await lost_on_a_socket(server, 3)
    stream = first[0]["stream"]["id"]
    async with server.socket() as socket:
        await socket.send_json(resume(stream, 3, id="again"))
        assert await is_alive(socket)
        openrouter.release.set()
        rest = await turn_events(socket)
    assert {event.pop("id") for event in rest} == {"again"}
    assert answer_text(first + rest) == "ab" and rest[-1] == {"done": True}
    assert openrouter.disconnects == 0


async def test_what_one_transport_lost_the_other_finds(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING, STALLING)
    over_sse = await cut_after(server, 3)
    over_socket = await lost_on_a_socket(server, 3)
    openrouter.release.set()
    async with server.socket() as socket:
        await socket.send_json(resume(stream_of(over_sse), 3))
        rest = await turn_events(socket)
    assert answer_text(sse_events(over_sse) + rest) == "ab" and rest[-1] == {"done": True}
    _, body = await resumed(server, over_socket[0]["stream"]["id"], after=3)
    events = sse_events(body)
    assert answer_text(over_socket + events[:-1]) == "ab" and events[-1] == "[DONE]"


async def test_a_cancel_of_a_resumed_turn_stops_it(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    first = await lost_on_a_socket(server, 3)
    async with server.socket() as socket:
        await socket.send_json(resume(first[0]["stream"]["id"], 3, id=1))
        await socket.send_json({"type": "cancel", "id": 1})
        usage, _tps, end = await turn_events(socket)
        await openrouter.wait_for_disconnect()
        assert usage["usage"]["finish_reason"] == "cancelled" and end == {"id": 1, "done": True}
        await socket.send_json({"type": "cancel", "id": 1})
        assert await is_alive(socket)


async def test_a_resumed_turn_counts_as_one_of_the_four(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    first = await lost_on_a_socket(server, 3)
    stream = first[0]["stream"]["id"]
    async with server.socket() as socket:
        for number in range(5):
            await socket.send_json(resume(stream, 3, id=number))
        refusal = await receive(socket)
        assert refusal["id"] == 4 and refusal["error"]["code"] == "RATE_LIMITED"
        await socket.send_json(resume(stream, 3, id=0))
        refusal = await receive(socket)
        assert "id" not in refusal and refusal["error"]["code"] == "INVALID_REQUEST"
        openrouter.release.set()
        ends = set[Any]()
        while len(ends) < 4:
            event = await receive(socket)
            if "done" in event:
                ends.add(event["id"])
        await socket.send_json(resume(stream, 3, id=0))
        assert (await turn_events(socket))[-1] == {"id": 0, "done": True}


async def test_a_follower_that_leaves_takes_nothing_from_the_first(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with server.socket() as first:
        await first.send_json(message())
        events = [await receive(first) for _ in range(3)]
        async with server.socket() as other:
            await other.send_json(resume(events[0]["stream"]["id"]))
            assert await receive(other) == events[0]
        openrouter.release.set()
        rest = await turn_events(first)
    assert answer_text(events + rest) == "ab" and rest[-1] == {"done": True}


@pytest.mark.parametrize("identity", [None, "x"])
async def test_a_stream_that_is_not_ones_own_is_not_found(
    server: RunningServer, identity: str | None
) -> None:
    stream = stream_of(await whole(server))
    named: dict[str, Any] = {} if identity is None else {"id": identity}
    for headers, wanted in ((server.bearer(uuid4()), stream), (server.bearer(), "nobody")):
        async with server.socket(headers=headers) as socket:
            for _ in range(4):
                await socket.send_json(resume(wanted, **named))
                refusal = await receive(socket)
                assert refusal.get("id") == identity
                assert refusal["error"]["code"] == "NOT_FOUND"
            assert await is_alive(socket)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stream": None},
        {"stream": ""},
        {"stream": 7},
        {"stream": "x" * 129},
        {"after": -1},
        {"after": "3"},
        {"after": True},
        {"after": None},
        {"after": 10**13},
    ],
    ids=repr,
)
async def test_a_malformed_resume_is_refused(server: RunningServer, wrong: dict[str, Any]) -> None:
    async with server.socket() as socket:
        await socket.send_json({**resume("x"), **wrong, "id": 3})
        refusal = await receive(socket)
        assert refusal["id"] == 3 and refusal["error"]["code"] == "INVALID_REQUEST"
        assert await is_alive(socket)


async def test_a_resume_needs_its_user(server: RunningServer) -> None:
    stream = stream_of(await whole(server))
    async with server.socket(headers={}) as socket:
        await socket.send_json(resume(stream))
        assert (await receive(socket))["error"]["code"] == "UNAUTHORIZED"
        await socket.send_json(resume(stream, token=server.token()))
        assert (await turn_events(socket))[-1] == {"done": True}


async def test_it_counts_in_the_bucket_of_everything_else(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_OTHER="3") as server:
        stream = stream_of(await whole(server))
        async with server.socket() as socket:
            for _ in range(2):
                await socket.send_json(resume(stream))
                assert (await turn_events(socket))[-1] == {"done": True}
            await socket.send_json(resume(stream))
            assert (await receive(socket))["error"]["code"] == "RATE_LIMITED"


async def test_a_socket_that_is_closed_for_bad_messages_only_loses_what_it_came_back_to(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    first = await lost_on_a_socket(server, 3)
    async with server.socket() as socket:
        await socket.send_json(resume(first[0]["stream"]["id"], 3, id="x"))
        for _ in range(3):
            await socket.send_str("nonsense")
        frames = [frame.json() async for frame in socket]
        assert [each["error"]["code"] for each in frames if each.get("id") == "x"] == [
            "STREAM_INTERRUPTED"
        ]
    openrouter.release.set()
    _, body = await resumed(server, first[0]["stream"]["id"], after=3)
    assert body.endswith(b"data: [DONE]\n\n") and openrouter.disconnects == 0


async def test_a_shutdown_tells_the_turns_own_end(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    first = await lost_on_a_socket(server, 3)
    async with server.socket() as socket:
        await socket.send_json(resume(first[0]["stream"]["id"], 3, id="x"))
        assert await is_alive(socket)
        going = asyncio.create_task(server.runner.cleanup())
        events = await turn_events(socket)
        assert [list(event) for event in events] == [
            ["id", "usage"],
            ["id", "tps"],
            ["id", "error"],
        ]
        assert events[-1]["error"]["code"] == "SERVICE_UNAVAILABLE"
        assert await closed_with(socket) == 1001
        await going
