"""`DELETE /v1/user/delete-account`: one answer, at once, and nothing more for that account."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from chuk.accounts.issuer import DEFAULT_USER
from chuk.web.envelope import CHOICES, Profile
from tests.api.socket_client import NOBODY, STALLING, chats, message, refused
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import RunningServer, live_sse, turn_events

OTHER = UUID("0c9a2b7e-2f64-4f35-8d0f-6f3d2b1a9c22")
PATH = "/v1/user/delete-account"


@pytest.fixture
async def server(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that does not wait long before it tries again."""
    async with start_server(
        euros=0,
        CHUK_DELETION_INTERVAL="0.05",
        CHUK_DELETION_FIRST_RETRY="0.05",
        CHUK_LIMIT_OTHER="100000",
    ) as running:
        yield running


async def delete(server: RunningServer, **options: Any) -> tuple[int, Any]:
    """The status and the body, in the usual profile."""
    headers = options.pop("headers", None) or server.bearer()
    async with server.client.delete(f"{server.url}{PATH}", headers=headers, **options) as answer:
        return answer.status, await answer.json()


async def asked(
    server: RunningServer, headers: dict[str, str], method: str = "GET", path: str = "/v1/ai/models"
) -> tuple[int, str | None]:
    """The status of some other request, and the error's code."""
    async with server.client.request(method, f"{server.url}{path}", headers=headers) as answer:
        body = await answer.json()
        return answer.status, None if answer.status == 200 else body["error"]["code"]


async def erased(server: RunningServer) -> None:
    """Delete the account, and again until nothing is left to do."""
    pending = ["something"]
    async with asyncio.timeout(30):
        while pending:
            status, body = await delete(server)
            assert status == 200
            pending = body["data"]["pending"]


@pytest.mark.parametrize("profile", CHOICES)
async def test_the_answer_is_200_at_once_and_again(server: RunningServer, profile: Profile) -> None:
    for _ in range(3):
        # As the app sends it: a content type for JSON, and an empty body.
        status, body = await delete(
            server,
            headers={
                **server.bearer(),
                "Accept": profile.content_type,
                "Content-Type": "application/json",
            },
        )
        assert status == 200
        assert (body if profile is Profile.BARE else body["data"]) == {
            "deleted": True,
            "pending": [],
        }


async def test_only_who_is_signed_in_may_ask(server: RunningServer) -> None:
    for headers, code in [
        ({"X-Nothing": "1"}, "UNAUTHORIZED"),
        ({"Authorization": "Bearer nonsense"}, "INVALID_TOKEN"),
        (server.bearer(seconds=-60), "TOKEN_EXPIRED"),
    ]:
        status, body = await delete(server, headers=headers)
        assert (status, body["error"]["code"]) == (401, code)
    assert await asked(server, server.bearer()) == (200, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/ai/models"),
        ("GET", "/v1/ai/config"),
        ("GET", "/v1/user/status"),
        ("GET", "/v1/user/usage"),
        ("POST", "/v1/ai/chat"),
        ("POST", "/v1/stripe/sync-subscription"),
    ],
)
async def test_from_then_on_everything_is_forbidden(
    server: RunningServer, method: str, path: str
) -> None:
    await delete(server)
    assert await asked(server, server.bearer(), method, path) == (403, "FORBIDDEN")


async def test_an_expired_token_of_a_locked_account_is_forbidden_too(
    server: RunningServer,
) -> None:
    expired = server.bearer(seconds=-60)
    assert await asked(server, expired) == (401, "TOKEN_EXPIRED")
    await delete(server)
    assert await asked(server, expired) == (403, "FORBIDDEN")


async def test_others_go_on(server: RunningServer) -> None:
    await delete(server)
    assert await asked(server, server.bearer(OTHER)) == (200, None)
    async with server.socket(headers=server.bearer(OTHER)) as socket:
        assert await chats(socket)


async def test_what_anybody_may_ask_is_answered_still(server: RunningServer) -> None:
    await delete(server)
    assert await asked(server, server.bearer(), path="/v1/models_info") == (200, None)


async def test_messages_on_an_open_socket_are_refused(server: RunningServer) -> None:
    async with server.socket() as socket:
        assert await chats(socket)
        await delete(server)
        await socket.send_json(message())
        assert await refused(socket) == "FORBIDDEN"


async def test_messages_of_a_deleted_account_are_limited_like_any_others(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LIMIT_CHAT="2") as server:
        await delete(server)
        async with server.socket() as socket:
            for code in ("FORBIDDEN", "FORBIDDEN", "RATE_LIMITED"):
                await socket.send_json(message())
                assert await refused(socket) == code


@pytest.mark.parametrize("seconds", [600, -60])
async def test_a_new_socket_is_told_why_it_is_refused(server: RunningServer, seconds: int) -> None:
    await delete(server)
    async with server.socket(headers=NOBODY) as socket:
        await socket.send_json(message(token=server.token(seconds=seconds)))
        assert await refused(socket) == "FORBIDDEN"


async def test_a_running_stream_is_stopped_and_ends_as_every_turn_does(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with live_sse(server) as events:
        async for event in events:
            if event != "[DONE]" and "content" in event:
                break
        deleting = asyncio.create_task(delete(server))
        rest = [event async for event in events]
        status, _ = await deleting
    assert status == 200
    assert rest[-1] == "[DONE]" or "error" in rest[-1]
    await openrouter.wait_until(lambda: openrouter.open_completions == 0)
    await erased(server)


async def test_a_running_turn_on_a_socket_is_stopped(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with server.socket() as socket:
        await socket.send_json(message())
        await openrouter.wait_for_completions()
        deleting = asyncio.create_task(delete(server))
        events = await turn_events(socket)
        assert (await deleting)[0] == 200
    assert {"done", "error"} & events[-1].keys()
    await erased(server)


async def test_nothing_in_the_database_names_the_user_any_more(server: RunningServer) -> None:
    await server.chat()
    status, answered = await delete(server)
    assert (status, answered["data"]["pending"]) == (200, [])
    files = list(server.settings.server.data_dir.glob("*.sqlite3"))
    assert files
    for file in files:
        with closing(sqlite3.connect(file)) as connection:
            dump = "\n".join(connection.iterdump())
        assert DEFAULT_USER.hex.upper() not in dump.upper()
        assert str(DEFAULT_USER) not in dump


async def test_it_holds_across_a_restart(start_server: StartServer) -> None:
    async with start_server(euros=0) as server:
        await erased(server)
    async with start_server(euros=0) as server:
        assert await asked(server, server.bearer()) == (403, "FORBIDDEN")
        status, body = await delete(server)
        assert (status, body["data"]) == (200, {"deleted": True, "pending": []})


async def test_another_process_learns_of_it_and_stops_the_users_turns(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(STALLING)
    async with (
        start_server(euros=0) as one,
        start_server(euros=0) as other,
        live_sse(other) as events,
    ):
        async for event in events:
            if event != "[DONE]" and "content" in event:
                break
        assert (await delete(one))[0] == 200
        rest = [event async for event in events]
        assert rest[-1] == "[DONE]" or "error" in rest[-1]
        assert await asked(other, other.bearer()) == (403, "FORBIDDEN")
