"""Turns over one lasting WebSocket: one after the other, side by side, and stopped."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import aiohttp
import pytest

from tests.api.socket_client import STALLING, message
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Fault, Reply
from tests.harness import MODEL, RunningServer, answer_text, turn_events


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next event; anything but a text frame is a failure."""
    async with asyncio.timeout(30):
        frame = await socket.receive()
    assert frame.type is aiohttp.WSMsgType.TEXT, frame
    return frame.json()


async def until_text(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read up to the first piece of content."""
    while "content" not in await receive(socket):
        pass


def is_end(event: Any) -> bool:
    """Whether a turn ends here."""
    return bool({"done", "error"} & event.keys())


async def test_the_apps_flow(server: RunningServer, openrouter: FakeOpenRouter) -> None:
    openrouter.script(Reply(reasoning=["Hm"], content=["Hel", "lo"]))
    turn = message(
        "What is new?",
        token=server.token(),
        provider_slug="groq",
        max_tokens=40_960,
        temperature=0.5,
        history=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
        system_prompt="Be kind.",
    )
    async with server.socket(headers={}) as socket:
        await socket.send_json(turn)
        stream, meta, *pieces, usage, tps, end = await turn_events(socket)
        await socket.close()
    assert list(stream) == ["stream"] and list(stream["stream"]) == ["id"]
    assert meta == {"meta": {"model": MODEL, "provider": "groq", "free_message": False}}
    assert pieces == [{"reasoning": "Hm"}, {"content": "Hel"}, {"content": "lo"}]
    assert list(usage) == ["usage"] and usage["usage"]["finish_reason"] == "stop"
    assert usage["usage"]["cost_eur"] > 0
    assert list(tps) == ["tps"] and tps["tps"] > 0
    assert end == {"done": True}
    (record,) = openrouter.completions
    assert [each["role"] for each in record.body["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


async def test_one_turn_follows_the_other(server: RunningServer) -> None:
    async with server.socket() as socket:
        streams = set()
        for number in range(5):
            await socket.send_json(message(f"turn {number}"))
            events = await turn_events(socket)
            assert events[-1] == {"done": True}
            assert f"{number}" in answer_text(events)
            streams.add(events[0]["stream"]["id"])
    assert len(streams) == 5


async def test_a_new_turn_may_follow_at_once_though_upstream_lingers(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    lingering = [
        b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
        b"data: [DONE]\n\n",
        b": x\n\n",
    ]
    openrouter.script(*[Reply(raw=lingering, stall_after=2)] * 6)
    async with server.socket() as socket:
        for _ in range(6):
            await socket.send_json(message())
            assert (await turn_events(socket))[-1] == {"done": True}


@pytest.mark.parametrize("identity", ["a", "", 'ä🙂\n"', 7, -1, 0, 2**53], ids=repr)
async def test_the_id_of_a_message_is_on_each_of_its_events(
    server: RunningServer, identity: str | int
) -> None:
    async with server.socket() as socket:
        await socket.send_json(message(id=identity))
        events = await turn_events(socket)
    assert len(events) > 4
    for event in events:
        assert event.pop("id") == identity
        assert len(event) == 1
    assert events[-1] == {"done": True}


async def test_four_turns_run_side_by_side_and_a_fifth_is_refused(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(*[STALLING] * 4)
    async with server.socket() as socket:
        for number in range(5):
            await socket.send_json(message(id=number))
        seen: dict[Any, list[Any]] = defaultdict(list)
        # All four have begun to speak, and the fifth has been refused.
        while not all("a" in answer_text(seen[number]) for number in range(4)) or not seen[4]:
            event = await receive(socket)
            seen[event.pop("id")].append(event)
        assert [event["error"]["code"] for event in seen.pop(4)] == ["RATE_LIMITED"]
        openrouter.release.set()
        while not all(is_end(events[-1]) for events in seen.values()):
            event = await receive(socket)
            seen[event.pop("id")].append(event)
        for events in seen.values():
            assert answer_text(events) == "ab"
            assert events[-1] == {"done": True}
        # There is room again.
        await socket.send_json(message(id=9))
        assert (await turn_events(socket))[-1] == {"id": 9, "done": True}


@pytest.mark.parametrize(
    "wrong", [{"type": "nonsense"}, message(token="nonsense"), message(model_id=7)]
)
async def test_an_error_beside_a_turn_does_not_seem_to_be_its_end(
    server: RunningServer, openrouter: FakeOpenRouter, wrong: dict[str, Any]
) -> None:
    openrouter.script(STALLING)
    async with server.socket() as socket:
        await socket.send_json(message(id="x"))
        await until_text(socket)
        await socket.send_json({**wrong, "id": "x"})
        refusal = await receive(socket)
        assert "error" in refusal and "id" not in refusal
        openrouter.release.set()
        events = await turn_events(socket)
        assert answer_text(events) == "b" and events[-1] == {"id": "x", "done": True}


async def test_a_socket_that_is_closing_begins_no_turn_that_it_would_cut(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    # It closes once the books of its running turn are closed, which ask what it cost.
    openrouter.fail("/generation", Fault(hang=True))
    openrouter.script(STALLING, STALLING)
    async with server.socket() as socket:
        await socket.send_json(message(id="x"))
        await until_text(socket)
        for _ in range(3):
            await socket.send_str("nonsense")
            assert "error" in await receive(socket)
        await socket.send_json(message(id="y"))
        refusal = await receive(socket)
        assert refusal["id"] == "y" and refusal["error"]["code"] == "SERVICE_UNAVAILABLE"
        openrouter.release.set()
        assert (await turn_events(socket))[-1]["error"]["code"] == "STREAM_INTERRUPTED"


async def test_an_id_that_is_in_use_is_refused_without_ending_its_turn(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with server.socket() as socket:
        await socket.send_json(message(id="x"))
        await until_text(socket)
        await socket.send_json(message(id="x"))
        refusal = await receive(socket)
        # With the id it would seem to be the running turn's end.
        assert "id" not in refusal and refusal["error"]["code"] == "INVALID_REQUEST"
        openrouter.release.set()
        events = await turn_events(socket)
        assert answer_text(events) == "b" and events[-1] == {"id": "x", "done": True}
        await socket.send_json(message(id="x"))
        assert (await turn_events(socket))[-1] == {"id": "x", "done": True}


@pytest.mark.parametrize("identity", [None, "x", 3])
async def test_a_cancelled_turn_ends_with_its_usage_and_done(
    server: RunningServer, openrouter: FakeOpenRouter, identity: str | int | None
) -> None:
    openrouter.script(STALLING)
    named: dict[str, Any] = {} if identity is None else {"id": identity}
    async with server.socket() as socket:
        await socket.send_json(message(**named))
        await until_text(socket)
        await socket.send_json({"type": "cancel", **named})
        usage, tps, end = await turn_events(socket)
        await openrouter.wait_for_disconnect()
        assert usage["usage"]["finish_reason"] == "cancelled"
        # Upstream's own books were asked what it charged.
        assert usage["usage"]["cost_basis"] == "upstream"
        assert usage["usage"]["completion_tokens"] == 1
        assert "tps" in tps
        assert end == {**named, "done": True}
        await socket.send_json(message())
        assert (await turn_events(socket))[-1] == {"done": True}


async def test_a_turn_may_be_cancelled_before_upstream_says_a_word(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(never_answer=True))
    async with server.socket() as socket:
        await socket.send_json(message(id=1))
        await openrouter.wait_for_completions()
        await socket.send_json({"type": "cancel", "id": 1})
        events = await turn_events(socket)
        await openrouter.wait_for_disconnect()
    assert [key for event in events for key in event if key != "id"] == [
        "stream",
        "usage",
        "tps",
        "done",
    ]


async def test_a_turn_that_is_cancelled_in_the_same_breath_still_ends(
    server: RunningServer,
) -> None:
    async with server.socket() as socket:
        # One write, so that the server reads both before the turn takes its first step.
        await asyncio.gather(
            socket.send_json(message(id=1)), socket.send_json({"type": "cancel", "id": 1})
        )
        events = await turn_events(socket)
        assert events[-1] == {"id": 1, "done": True}
        await socket.send_json(message(id=1))
        assert (await turn_events(socket))[-1] == {"id": 1, "done": True}


async def test_a_cancel_names_its_turn_or_means_the_only_one(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING, STALLING)
    async with server.socket() as socket:
        await socket.send_json(message(id="first"))
        await until_text(socket)
        await socket.send_json(message(id="second"))
        await until_text(socket)
        for harmless in ({"type": "cancel"}, {"type": "cancel", "id": "third"}):
            await socket.send_json(harmless)
        await socket.send_json({"type": "ping"})
        assert await receive(socket) == {"type": "pong"}
        await socket.send_json({"type": "cancel", "id": "first"})
        assert (await turn_events(socket))[-1] == {"id": "first", "done": True}
        await socket.send_json({"type": "cancel"})
        assert (await turn_events(socket))[-1] == {"id": "second", "done": True}


async def test_a_cancel_of_nothing_is_harmless(server: RunningServer) -> None:
    async with server.socket() as socket:
        for cancel in ({"type": "cancel"}, {"type": "cancel", "id": 1}) * 4:
            await socket.send_json(cancel)
        await socket.send_json({"type": "ping"})
        assert await receive(socket) == {"type": "pong"}


async def test_pings_are_answered_while_a_turn_runs(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with server.socket() as socket:
        await socket.send_json(message())
        await until_text(socket)
        await socket.send_json({"type": "ping"})
        assert await receive(socket) == {"type": "pong"}
        openrouter.release.set()
        assert answer_text(await turn_events(socket)) == "b"


async def test_a_message_over_the_rate_limit_gets_an_error_and_the_socket_lives(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LIMIT_CHAT="2") as server, server.socket() as socket:
        for _ in range(2):
            await socket.send_json(message())
            assert (await turn_events(socket))[-1] == {"done": True}
        for _ in range(4):
            await socket.send_json(message(id="late"))
            (event,) = await turn_events(socket)
            assert event["id"] == "late"
            assert event["error"]["code"] == "RATE_LIMITED"
            assert event["error"]["details"]["limit"] == 2
            assert event["error"]["details"]["retry_after"] >= 1
        # SSE counts in the same bucket.
        async with server.client.post(
            f"{server.url}/v1/ai/chat", json=message(), headers=server.bearer()
        ) as response:
            assert response.status == 429
        await socket.send_json({"type": "ping"})
        assert await receive(socket) == {"type": "pong"}


async def test_many_sockets_at_once(start_server: StartServer) -> None:
    async def converse(server: RunningServer, number: int) -> None:
        async with server.socket() as socket:
            for turn in range(3):
                await socket.send_json(message(f"{number}-{turn}"))
                events = await turn_events(socket)
                assert f"{number}-{turn}" in answer_text(events)
                assert events[-1] == {"done": True}

    limits = {"CHUK_LIMIT_CHAT": "1000", "CHUK_LIMIT_OTHER": "1000"}
    async with start_server(**limits) as server:
        await asyncio.gather(*(converse(server, number) for number in range(40)))
