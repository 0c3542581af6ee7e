"""API1:2023, broken object level authorization: nobody reaches what is somebody else's.

Every route with an id in its path, and every message that names something, is tried by another
user, who must learn nothing, not even that it exists. Kept elsewhere: pictures' names cannot be
guessed (tests/api/test_generate_image.py), the database's own policies
(tests/adapters/test_supabase_rights.py).
"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from tests.api.socket_client import refused
from tests.credits.people import rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, live_sse
from tests.security.attacks import ask, operations

MINE, OTHERS = UUID(int=1), UUID(int=2)
CHAT = {"model_id": MODEL, "message": "Hello", "max_tokens": 500}


async def stream_of(server: RunningServer, user: UUID) -> str:
    """The name of an answer that this user has just got."""
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=CHAT, headers=server.bearer(user)
    ) as answer:
        assert answer.status == 200
        return (await answer.read()).split(b"\n", 1)[0].decode()[4:].partition(":")[0]


async def test_every_route_that_names_something_is_tried_here(server: RunningServer) -> None:
    named = {
        (method, path)
        for method, path in await operations(server)
        # The pages' own files are the same for everybody.
        if "{" in path and not path.startswith(("/console/", "/docs/"))
    }
    assert named == {
        ("GET", "/v1/ai/chat/streams/{id}"),
        ("DELETE", "/v1/ai/chat/streams/{id}"),
        ("DELETE", "/v1/user/api-keys/{key_id}"),
        # Of everybody: a name that cannot be guessed is the permission, and models are public.
        ("GET", "/v1/ai/images/{name}"),
        ("GET", "/v1/models/{id}"),
    }


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_somebody_elses_answer_is_as_if_it_never_was(
    server: RunningServer, method: str
) -> None:
    await rich(server, user=MINE)
    stream = await stream_of(server, MINE)
    stolen = await ask(server, method, f"/v1/ai/chat/streams/{stream}", OTHERS)
    invented = await ask(server, method, f"/v1/ai/chat/streams/{'x' * len(stream)}", OTHERS)
    assert (stolen.status, stolen.code) == (404, "NOT_FOUND")
    assert stolen.body == invented.body
    listed = await ask(server, "GET", "/v1/ai/chat/streams", OTHERS)
    assert listed.data == {"streams": []}


async def test_somebody_elses_running_turn_is_neither_read_nor_stopped(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b", "c"], stall_after=1))
    async with live_sse(server) as events:
        stream = (await anext(events))["stream"]["id"]
        path = f"/v1/ai/chat/streams/{stream}"
        assert [(await ask(server, way, path, OTHERS)).status for way in ("GET", "DELETE")] == [
            404,
            404,
        ]
        async with server.socket(headers=server.bearer(OTHERS)) as socket:
            await socket.send_json({"type": "resume", "stream": stream, "after": 0})
            assert await refused(socket) == "NOT_FOUND"
            await socket.send_json({"type": "cancel", "id": stream})
        openrouter.release.set()
        assert [event async for event in events][-1] == "[DONE]"


async def test_one_socket_cannot_cancel_the_turn_of_another(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    async with server.socket() as mine, server.socket(headers=server.bearer(OTHERS)) as others:
        await mine.send_json({**CHAT, "id": "turn"})
        await openrouter.wait_for_completions()
        await others.send_json({"type": "cancel", "id": "turn"})
        await others.send_json({"type": "ping"})
        assert await others.receive_json(timeout=30) == {"type": "pong"}
        openrouter.release.set()
        last = {}
        while not ({"done", "error"} & last.keys()):
            last = await mine.receive_json(timeout=30)
    assert last == {"done": True, "id": "turn"}


async def test_somebody_elses_key_can_be_neither_seen_nor_revoked(server: RunningServer) -> None:
    made = await ask(server, "POST", "/v1/user/api-keys", MINE, json={"name": "ci"})
    path = f"/v1/user/api-keys/{made.data['id']}"
    stolen = await ask(server, "DELETE", path, OTHERS)
    invented = await ask(server, "DELETE", f"/v1/user/api-keys/{uuid4()}", OTHERS)
    assert (stolen.status, stolen.body) == (404, invented.body)
    assert (await ask(server, "GET", "/v1/user/api-keys", OTHERS)).data == {"api_keys": []}
    assert len((await ask(server, "GET", "/v1/user/api-keys", MINE)).data["api_keys"]) == 1


async def test_usage_and_status_are_ones_own_whatever_is_asked_for(server: RunningServer) -> None:
    await rich(server, user=MINE)
    await stream_of(server, MINE)
    mine = await ask(server, "GET", "/v1/user/usage", MINE)
    (receipt,) = mine.data["receipts"]
    for query in (
        f"user_id={MINE}",
        f"sub={MINE}",
        f"cursor={receipt['id']}",
        f"before={receipt['id']}",
        f"api_key_id={MINE}",
        f"id={receipt['id']}",
    ):
        told = await ask(server, "GET", f"/v1/user/usage?{query}", OTHERS)
        assert told.status == 400 or told.data["receipts"] == [], query
        status = await ask(server, "GET", f"/v1/user/status?{query}", OTHERS)
        assert status.data["credits_total"] == 0, query


async def test_headers_that_name_a_user_name_nobody(server: RunningServer) -> None:
    await rich(server, user=MINE)
    names = ("X-User-Id", "X-Forwarded-User", "X-Original-User", "Remote-User", "apikey")
    told = await ask(
        server, "GET", "/v1/user/status", OTHERS, headers=dict.fromkeys(names, str(MINE))
    )
    assert told.data["credits_total"] == 0
    stranger = await ask(server, "GET", "/v1/user/status", headers=dict.fromkeys(names, str(MINE)))
    assert stranger.status == 401


async def test_a_key_for_repeats_is_ones_own(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    key = {"Idempotency-Key": "the-same-for-both"}
    answers = []
    for user in (MINE, OTHERS):
        await rich(server, user=user)
        async with server.client.post(
            f"{server.url}/v1/ai/chat", json=CHAT, headers={**server.bearer(user), **key}
        ) as answer:
            assert "Idempotency-Replayed" not in answer.headers
            answers.append(await answer.read())
    assert answers[0] != answers[1]
    assert len(openrouter.completions) == 2
