"""Pictures and recordings with an `Idempotency-Key`: one result, paid once, however often asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from tests.conftest import StartServer
from tests.credits.people import receipts_of, rich
from tests.fakes.fal import FakeFal, FalJob, content_policy
from tests.fakes.groq import Answer as GroqAnswer
from tests.fakes.groq import FakeGroq
from tests.harness import RunningServer, running_server
from tests.media.recordings import noise
from tests.redis_server import RedisServer

IMAGE = "/v1/ai/generate-image"
AUDIO = "/v1/ai/transcribe-audio"
FOX = {"prompt": "a fox", "custom_width": 96, "custom_height": 64}


@pytest.fixture
async def fal() -> AsyncIterator[FakeFal]:
    """A fake fal, running."""
    async with FakeFal() as fake:
        yield fake


@pytest.fixture
async def groq() -> AsyncIterator[FakeGroq]:
    """A fake Groq, running."""
    async with FakeGroq() as fake:
        yield fake


def media_environ(fal: FakeFal, groq: FakeGroq) -> dict[str, str]:
    """The variables that point a server at both."""
    return {
        "FAL_KEY": fal.key,
        "FAL_QUEUE_URL": fal.queue_url,
        "GROQ_API_KEY": groq.api_key,
        "GROQ_BASE_URL": groq.base_url,
        "CHUK_LIMIT_IMAGE": "1000",
    }


@pytest.fixture
async def server(
    start_server: StartServer, fal: FakeFal, groq: FakeGroq
) -> AsyncIterator[RunningServer]:
    """A server that has its pictures from fal and hears through Groq."""
    async with start_server(**media_environ(fal, groq)) as running:
        yield running


class Answer:
    """What came back: the data or the error, and whether it said that it is a repeat."""

    def __init__(self, status: int, document: Any, headers: Any) -> None:
        self.status = status
        self.data: Any = document.get("data")
        self.error: Any = document.get("error")
        self.is_replayed = headers.get("Idempotency-Replayed") == "true"


async def image(server: RunningServer, user: UUID, key: str, **fields: Any) -> Answer:
    """One request for a picture of a fox."""
    headers = {**server.bearer(user), "Idempotency-Key": key}
    body = {**FOX, **fields}
    async with server.client.post(f"{server.url}{IMAGE}", json=body, headers=headers) as answer:
        return Answer(answer.status, await answer.json(), answer.headers)


async def recording(
    server: RunningServer, user: UUID, key: str, content: bytes, name: str = "voice.wav"
) -> Answer:
    """One request for what a recording says."""
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("audio_file", content, filename=name, content_type="application/octet-stream")
    headers = {**server.bearer(user), "Idempotency-Key": key}
    async with server.client.post(f"{server.url}{AUDIO}", data=form, headers=headers) as answer:
        return Answer(answer.status, await answer.json(), answer.headers)


async def test_a_repeat_gets_the_same_picture_and_pays_nothing(
    server: RunningServer, fal: FakeFal
) -> None:
    user = await rich(server)
    first = await image(server, user, "key-1")
    again = await image(server, user, "key-1")
    assert (first.status, first.is_replayed) == (200, False)
    assert (again.status, again.is_replayed) == (200, True)
    assert again.data == first.data
    assert fal.submissions == 1
    assert len(await receipts_of(server, user)) == 1


async def test_twenty_at_once_make_one_picture(server: RunningServer, fal: FakeFal) -> None:
    user = await rich(server)
    answers = await asyncio.gather(*(image(server, user, "key-1") for _ in range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert len({answer.data["image_url"] for answer in answers}) == 1
    assert sum(not answer.is_replayed for answer in answers) == 1
    assert fal.submissions == 1
    assert len(await receipts_of(server, user)) == 1


async def test_a_key_is_one_persons_own(server: RunningServer, fal: FakeFal) -> None:
    answers = [await image(server, await rich(server), "key-1") for _ in range(2)]
    assert [answer.is_replayed for answer in answers] == [False, False]
    assert fal.submissions == 2


async def test_another_request_under_the_same_key_is_a_conflict(
    server: RunningServer, fal: FakeFal
) -> None:
    user = await rich(server)
    await image(server, user, "key-1")
    for answer in (
        await image(server, user, "key-1", prompt="a hen"),
        await image(server, user, "key-1", seed=7),
        await recording(server, user, "key-1", noise(1)),
    ):
        assert (answer.status, answer.error["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        assert answer.error["details"] == {"reason": "other_request"}
    assert fal.submissions == 1


async def test_the_same_request_in_another_form_is_no_other_request(
    server: RunningServer, fal: FakeFal
) -> None:
    user = await rich(server)
    first = await image(server, user, "key-1")
    headers = {**server.bearer(user), "Idempotency-Key": "key-1"}
    form = {name: str(value) for name, value in FOX.items()}
    async with server.client.post(f"{server.url}{IMAGE}", data=form, headers=headers) as answer:
        assert (await answer.json())["data"] == first.data
    assert fal.submissions == 1


@pytest.mark.parametrize("key", ["", "a" * 256, "two words", "schlüssel", "tab\tbed"])
async def test_what_cannot_be_a_key_is_refused(
    server: RunningServer, fal: FakeFal, key: str
) -> None:
    answer = await image(server, await rich(server), key)
    assert (answer.status, answer.error["code"]) == (400, "INVALID_REQUEST")
    assert "Idempotency-Key" in answer.error["details"]["fields"]
    assert fal.submissions == 0


async def test_what_was_refused_can_be_tried_again(server: RunningServer, fal: FakeFal) -> None:
    user = uuid4()
    assert (await image(server, user, "key-1")).status == 402
    await rich(server, user=user)
    assert (await image(server, user, "key-1")).status == 200
    fal.script(FalJob(failure=content_policy()))
    assert (await image(server, user, "key-2")).error["code"] == "CONTENT_FILTERED"
    answer = await image(server, user, "key-2")
    assert (answer.status, answer.is_replayed) == (200, False)
    assert len([each for each in await receipts_of(server, user) if each["charged_eur"]]) == 2


async def test_those_who_wait_get_the_failure_of_the_first(
    server: RunningServer, fal: FakeFal
) -> None:
    user = await rich(server)
    fal.script(FalJob(holds_answer=True, failure=content_policy()))
    asking = [asyncio.create_task(image(server, user, "key-1")) for _ in range(3)]
    await fal.wait_until(lambda: fal.submissions == 1)
    fal.release.set()
    answers = await asyncio.gather(*asking)
    assert [answer.error["code"] for answer in answers] == ["CONTENT_FILTERED"] * 3
    assert fal.submissions == 1


async def test_a_client_that_leaves_loses_nothing(server: RunningServer, fal: FakeFal) -> None:
    user = await rich(server)
    fal.script(FalJob(holds_answer=True))
    leaving = asyncio.create_task(image(server, user, "key-1"))
    await fal.wait_until(lambda: fal.submissions == 1)
    leaving.cancel()
    await asyncio.wait({leaving})
    fal.release.set()
    again = await image(server, user, "key-1")
    assert (again.status, again.is_replayed) == (200, True)
    assert fal.submissions == 1
    assert not fal.only_job.is_cancelled
    (receipt,) = await receipts_of(server, user)
    assert receipt["charged_eur"] > 0


@pytest.mark.usefixtures("temporary_folder")
async def test_a_recording_is_heard_once(server: RunningServer, groq: FakeGroq) -> None:
    user, content = await rich(server), noise(1.5)
    answers = await asyncio.gather(
        *(recording(server, user, "key-1", content, f"{n}.wav") for n in range(5))
    )
    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.data["text"] for answer in answers}) == 1
    other = await recording(server, user, "key-1", noise(1.6))
    assert other.error["details"] == {"reason": "other_request"}
    assert len(groq.asked) == 1
    assert len(await receipts_of(server, user)) == 1


@pytest.mark.usefixtures("temporary_folder")
async def test_a_recording_is_heard_to_its_end_though_its_client_left(
    server: RunningServer, groq: FakeGroq
) -> None:
    user, content = await rich(server), noise(1.5)
    groq.script(GroqAnswer(never_answer=True))
    leaving = asyncio.create_task(recording(server, user, "key-1", content))
    await groq.wait_until(lambda: bool(groq.asked and groq.asked[0].file))
    leaving.cancel()
    await asyncio.wait({leaving})
    listening = asyncio.create_task(recording(server, user, "key-1", content))
    groq.release.set()
    assert (await listening).status == 200
    assert len(groq.asked) == 1
    assert len(await receipts_of(server, user)) == 1


async def test_a_restart_charges_nobody_twice(fal: FakeFal, groq: FakeGroq, tmp_path: Path) -> None:
    environ, user = media_environ(fal, groq), uuid4()
    async with running_server(environ, tmp_path, wait_until_ready=False) as before:
        await rich(before, user=user)
        assert (await image(before, user, "key-1")).status == 200
    async with running_server(environ, tmp_path, wait_until_ready=False) as after:
        again = await image(after, user, "key-1")
        assert (again.status, again.error["code"]) == (409, "IDEMPOTENCY_CONFLICT")
        assert again.error["details"] == {"reason": "result_gone"}
        assert "once" in again.error["message"]
        assert len(await receipts_of(after, user)) == 1
        assert (await image(after, user, "key-2")).status == 200
    assert fal.submissions == 2


async def test_a_work_that_a_shutdown_ended_can_be_tried_again(
    fal: FakeFal, groq: FakeGroq, tmp_path: Path
) -> None:
    environ, user = media_environ(fal, groq), uuid4()
    fal.script(FalJob(waits=None))
    async with running_server(environ, tmp_path, wait_until_ready=False) as before:
        await rich(before, user=user)
        asking = asyncio.create_task(image(before, user, "key-1"))
        await fal.wait_until(lambda: fal.submissions == 1)
    await asyncio.gather(asking, return_exceptions=True)
    async with running_server(environ, tmp_path, wait_until_ready=False) as after:
        again = await image(after, user, "key-1")
        assert (again.status, again.is_replayed) == (200, False)
        charged = [each for each in await receipts_of(after, user) if each["charged_eur"]]
        assert len(charged) == 1


async def test_two_servers_on_one_redis_do_it_once(
    fal: FakeFal, groq: FakeGroq, tmp_path: Path, redis_server: RedisServer
) -> None:
    environ = {
        **media_environ(fal, groq),
        "REDIS_URL": redis_server.url,
        "CHUK_REDIS_TIMEOUT": "5",
    }
    user = uuid4()
    async with (
        running_server(environ, tmp_path, wait_until_ready=False) as one,
        running_server(environ, tmp_path, wait_until_ready=False) as two,
    ):
        await rich(one, user=user)
        answers = await asyncio.gather(
            *(image(each, user, "key-1") for _ in range(10) for each in (one, two))
        )
        assert [answer.status for answer in answers] == [200] * 20
        assert len({answer.data["seed"] for answer in answers}) == 1
        assert fal.submissions == 1
        assert len(await receipts_of(one, user)) == 1
    # A restart of both takes nothing away.
    async with running_server(environ, tmp_path, wait_until_ready=False) as three:
        assert (await image(three, user, "key-1")).data["seed"] == answers[0].data["seed"]
    assert fal.submissions == 1


async def test_while_redis_is_away_only_promises_are_refused(
    fal: FakeFal, groq: FakeGroq, tmp_path: Path, redis_server: RedisServer
) -> None:
    environ = {**media_environ(fal, groq), "REDIS_URL": redis_server.url}
    async with running_server(environ, tmp_path, wait_until_ready=False) as server:
        user = await rich(server)
        redis_server.stop()
        answer = await image(server, user, "key-1")
        assert (answer.status, answer.error["code"]) == (503, "SERVICE_UNAVAILABLE")
        async with server.client.post(
            f"{server.url}{IMAGE}", json=FOX, headers=server.bearer(user)
        ) as without_a_key:
            assert without_a_key.status == 200
    assert fal.submissions == 1
