"""Chats with an `Idempotency-Key`: one answer, paid once, handed on to whoever asks again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.credits.people import receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import (
    MODEL,
    RunningServer,
    answer_text,
    openrouter_environ,
    running_server,
    sse_events,
)
from tests.redis_server import RedisServer

WORDS = ["One", " two", " three"]


class Answer:
    """What came back: the events or the error, and whether it said that it is a repeat."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes, document: Any) -> None:
        self.status = response.status
        self.body = body
        self.events: list[Any] = sse_events(body) if response.status == 200 else []
        self.error: Any = None if response.status == 200 else document["error"]
        self.is_replayed = response.headers.get("Idempotency-Replayed") == "true"


async def chat(server: RunningServer, user: UUID, key: str, **fields: Any) -> Answer:
    """One request for a turn, up to its end."""
    headers = {**server.bearer(user), "Idempotency-Key": key}
    body = {"model_id": MODEL, "message": "Count", **fields}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=body, headers=headers
    ) as response:
        content = await response.read()
        document = None if response.status == 200 else await response.json()
        return Answer(response, content, document)


async def test_a_repeat_gets_the_same_events_and_pays_nothing(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    openrouter.script(Reply(content=WORDS))
    first = await chat(server, user, "key-1")
    again = await chat(server, user, "key-1")
    assert (first.status, first.is_replayed) == (200, False)
    assert (again.status, again.is_replayed) == (200, True)
    assert again.events == first.events
    assert again.events[-1] == "[DONE]"
    assert len(openrouter.completions) == 1
    assert len(await receipts_of(server, user)) == 1


async def test_twenty_at_once_are_one_turn(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    gate = asyncio.Event()
    openrouter.script(Reply(content=WORDS, gates={2: gate}))
    asking = [asyncio.create_task(chat(server, user, "key-1")) for _ in range(20)]
    await openrouter.wait_until(lambda: openrouter.open_completions == 1)
    gate.set()
    answers = await asyncio.gather(*asking)
    assert [answer.status for answer in answers] == [200] * 20
    assert {answer_text(answer.events[:-1]) for answer in answers} == {"One two three"}
    assert len({answer.events[0]["stream"]["id"] for answer in answers}) == 1
    assert sum(not answer.is_replayed for answer in answers) == 1
    assert len(openrouter.completions) == 1
    assert len(await receipts_of(server, user)) == 1


async def test_a_repeat_listens_to_a_turn_that_still_runs(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user, gate = await rich(server), asyncio.Event()
    openrouter.script(Reply(content=WORDS, gates={2: gate}))
    first = asyncio.create_task(chat(server, user, "key-1"))
    await openrouter.wait_until(lambda: openrouter.open_completions == 1)
    headers = {**server.bearer(user), "Idempotency-Key": "key-1"}
    body = {"model_id": MODEL, "message": "Count"}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=body, headers=headers
    ) as response:
        seen = b""
        while b" two" not in seen:
            seen += await response.content.readany()
        gate.set()
        seen += await response.read()
    assert sse_events(seen) == (await first).events


async def test_a_client_that_left_finds_its_answer_by_its_key(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user, gate = await rich(server), asyncio.Event()
    openrouter.script(Reply(content=WORDS, gates={1: gate}))
    leaving = asyncio.create_task(chat(server, user, "key-1"))
    await openrouter.wait_until(lambda: openrouter.open_completions == 1)
    leaving.cancel()
    await asyncio.wait({leaving})
    back = asyncio.create_task(chat(server, user, "key-1"))
    gate.set()
    assert answer_text((await back).events[:-1]) == "One two three"
    assert len(openrouter.completions) == 1
    assert len(await receipts_of(server, user)) == 1


async def test_another_message_under_the_same_key_is_a_conflict(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    await chat(server, user, "key-1")
    for fields in (
        {"message": "Count down"},
        {"temperature": 0.1},
        {"history": [{"role": "user", "content": "Hello"}]},
    ):
        answer = await chat(server, user, "key-1", **fields)
        assert (answer.status, answer.error["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        assert answer.error["details"] == {"reason": "other_request"}
    assert len(openrouter.completions) == 1


async def test_what_was_refused_or_failed_can_be_tried_again(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    assert (await chat(server, user, "key-1", model_id="no/such")).status == 404
    openrouter.script(Reply(status=500, error={"code": 500, "message": "no"}))
    assert (await chat(server, user, "key-1")).status == 502
    answer = await chat(server, user, "key-1")
    assert (answer.status, answer.is_replayed) == (200, False)
    charged = [each for each in await receipts_of(server, user) if each["charged_eur"]]
    assert len(charged) == 1


async def test_an_answer_that_broke_off_and_was_paid_for_stays_what_it_was(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    openrouter.script(Reply(content=WORDS, break_after=2))
    first = await chat(server, user, "key-1")
    assert "error" in first.events[-1]
    again = await chat(server, user, "key-1")
    assert (again.events, again.is_replayed) == (first.events, True)
    assert len(openrouter.completions) == 1
    assert len(await receipts_of(server, user)) == 1


async def test_a_restart_charges_nobody_twice(openrouter: FakeOpenRouter, tmp_path: Path) -> None:
    environ, user = openrouter_environ(openrouter), uuid4()
    async with running_server(environ, tmp_path) as before:
        await rich(before, user=user)
        assert (await chat(before, user, "key-1")).status == 200
    async with running_server(environ, tmp_path) as after:
        again = await chat(after, user, "key-1")
        assert (again.status, again.error["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        assert again.error["details"] == {"reason": "result_gone"}
        assert (await chat(after, user, "key-2")).status == 200
        assert len(await receipts_of(after, user)) == 2
    assert len(openrouter.completions) == 2


async def test_two_servers_on_one_redis_run_one_turn(
    openrouter: FakeOpenRouter, tmp_path: Path, redis_server: RedisServer
) -> None:
    environ = {
        **openrouter_environ(openrouter),
        "REDIS_URL": redis_server.url,
        "CHUK_REDIS_TIMEOUT": "5",
    }
    user = uuid4()
    async with (
        running_server(environ, tmp_path) as one,
        running_server(environ, tmp_path) as two,
    ):
        await rich(one, user=user)
        gate = asyncio.Event()
        openrouter.script(Reply(content=WORDS, gates={2: gate}))
        asking = [
            asyncio.create_task(chat(each, user, "key-1")) for _ in range(5) for each in (one, two)
        ]
        await openrouter.wait_until(lambda: openrouter.open_completions == 1)
        gate.set()
        answers = await asyncio.gather(*asking)
        assert {answer.status for answer in answers} == {200}
        assert {answer_text(answer.events[:-1]) for answer in answers} == {"One two three"}
        assert len({answer.body for answer in answers}) == 1
        assert len(openrouter.completions) == 1
        assert len(await receipts_of(one, user)) == 1
    async with running_server(environ, tmp_path) as three:
        assert (await chat(three, user, "key-1")).events == answers[0].events
    assert len(openrouter.completions) == 1


async def test_while_redis_is_away_only_promises_are_refused(
    start_server: StartServer, redis_server: RedisServer
) -> None:
    async with start_server(REDIS_URL=redis_server.url) as server:
        user = await rich(server)
        redis_server.stop()
        answer = await chat(server, user, "key-1")
        assert (answer.status, answer.error["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert (await server.chat())[-1] == "[DONE]"


@pytest.mark.parametrize("grace", ["0", "60"])
async def test_a_key_keeps_an_answer_whatever_the_grace(
    start_server: StartServer, openrouter: FakeOpenRouter, grace: str
) -> None:
    async with start_server(CHUK_RESUME_GRACE=grace) as server:
        user = await rich(server)
        first = await chat(server, user, "key-1")
        assert (await chat(server, user, "key-1")).events == first.events
        assert len(openrouter.completions) == 1
