"""fal's queue: submitted once, asked, fetched, cancelled when nobody waits any more."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from random import Random

import aiohttp
import pytest
from PIL import Image

from chuk.adapters.fal import Fal
from chuk.errors import (
    ChukError,
    ContentFiltered,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    RequestRefused,
    ServiceUnavailable,
)
from chuk.media.pictures import MAX_BYTES, PictureKind
from chuk.media.ports import Commission
from tests.fakes.fal import Failure, FakeFal, FalJob, content_policy, invalid_input, jpeg
from tests.forks import run_once

WANTED = Commission("a red fox", 512, 384, 7)


async def no_pause(_seconds: float) -> None:
    """The fake decides by questions, not by time, when something is done."""
    await asyncio.sleep(0)


@pytest.fixture
async def fake() -> AsyncIterator[FakeFal]:
    """A fake fal, running."""
    async with FakeFal() as running:
        yield running


@pytest.fixture
async def fal(fake: FakeFal) -> AsyncIterator[Fal]:
    """A client of it, with the right key."""
    async with aiohttp.ClientSession() as session:
        client = painter(session, fake)
        yield client
        await client.close()


def painter(session: aiohttp.ClientSession, fake: FakeFal, *, key: str | None = None) -> Fal:
    """A client of a fake."""
    return Fal(
        session,
        key=key or fake.key,
        queue_url=fake.queue_url,
        model="fal-ai/z-image/turbo",
        start_within=120,
        run_once=run_once,
        sleep=no_pause,
    )


async def test_a_picture_comes_back_as_it_was_asked_for(fal: Fal, fake: FakeFal) -> None:
    painting = await fal.paint(WANTED)
    assert (painting.kind, painting.seed) == (PictureKind.JPEG, 7)
    assert painting.data == jpeg(512, 384)
    assert fake.submissions == 1
    assert fake.only_job.input == {
        "prompt": "a red fox",
        "image_size": {"width": 512, "height": 384},
        "seed": 7,
        "num_images": 1,
        "enable_safety_checker": True,
        "output_format": "jpeg",
    }


async def test_fal_is_told_to_keep_nothing_and_to_begin_nothing_late(
    fal: Fal, fake: FakeFal
) -> None:
    await fal.paint(WANTED)
    headers = fake.only_job.headers
    assert headers["x-fal-store-io"] == "0"
    assert headers["x-fal-request-timeout"] == "120"
    lifecycle = json.loads(headers["x-fal-object-lifecycle-preference"])
    assert lifecycle == {"expiration_duration_seconds": 3_600}


async def test_our_key_is_not_shown_to_the_store(fal: Fal, fake: FakeFal) -> None:
    await fal.paint(WANTED)
    (headers,) = fake.store_headers
    assert "authorization" not in headers


async def test_our_key_goes_to_no_address_but_the_queues(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(foreign_urls=True))
    assert (await fal.paint(WANTED)).data == jpeg(512, 384)


async def test_a_long_queue_is_waited_for(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(waits=25, runs=5))
    assert (await fal.paint(WANTED)).data == jpeg(512, 384)
    assert fake.only_job.asked == 31


async def test_the_seed_that_was_really_used_is_told(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(seed=99))
    assert (await fal.paint(WANTED)).seed == 99


async def test_a_picture_within_the_answer_is_taken_from_it(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(inline=True))
    assert (await fal.paint(WANTED)).data == jpeg(512, 384)
    assert fake.store_headers == []


@pytest.mark.parametrize(
    "job", [FalJob(status_failures=2), FalJob(store_failures=2)], ids=["status", "store"]
)
async def test_a_question_is_repeated_a_submission_never(
    fal: Fal, fake: FakeFal, job: FalJob
) -> None:
    fake.script(job)
    assert (await fal.paint(WANTED)).data == jpeg(512, 384)
    assert fake.submissions == 1


async def test_a_picture_of_another_size_is_made_to_fit(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(size=(640, 640)))
    assert opened((await fal.paint(WANTED)).data).size == (512, 384)


async def test_a_picture_whose_size_is_not_told_is_looked_at(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(tells_size=False, size=(100, 100)))
    assert opened((await fal.paint(WANTED)).data).size == (512, 384)


async def test_a_picture_that_is_too_large_is_written_anew(fal: Fal, fake: FakeFal) -> None:
    noise = Image.frombytes("RGB", (1408, 1408), Random(1).randbytes(1408 * 1408 * 3))
    file = io.BytesIO()
    noise.save(file, "PNG")
    assert file.tell() > MAX_BYTES
    fake.script(FalJob(picture=file.getvalue()))
    painting = await fal.paint(Commission("noise", 1408, 1408, 1))
    assert len(painting.data) <= MAX_BYTES
    assert opened(painting.data).size == (1408, 1408)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\x89PNG\r\n\x1a\n" + b"x" * 5_000_000])
async def test_what_is_no_picture_is_the_providers_error(
    fal: Fal, fake: FakeFal, body: bytes
) -> None:
    fake.script(FalJob(picture=body))
    with pytest.raises(ProviderError):
        await fal.paint(WANTED)


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (FalJob(refusal=content_policy()), ContentFiltered),
        (FalJob(failure=content_policy()), ContentFiltered),
        (FalJob(nsfw=True), ContentFiltered),
        (FalJob(refusal=invalid_input()), RequestRefused),
        (FalJob(failure=invalid_input()), RequestRefused),
        (FalJob(failure=Failure(500, {"detail": "boom"})), ProviderError),
        (FalJob(failure=Failure(504, {"detail": "late"})), ProviderTimeout),
        (
            FalJob(
                failure=Failure(
                    503, {"detail": "none"}, {"X-Fal-Error-Type": "runner_scheduling_failure"}
                )
            ),
            ModelUnavailable,
        ),
        (FalJob(refusal=Failure(402, {"detail": "pay"})), ProviderError),
        (FalJob(refusal=Failure(404, {"detail": "gone"})), ModelUnavailable),
        (FalJob(refusal=Failure(429, {"detail": "many"}, {"Retry-After": "9"})), ModelUnavailable),
        (FalJob(refusal=Failure(200, ["nonsense"])), ProviderError),
        (FalJob(refusal=Failure(200, {"request_id": "../../x"})), ProviderError),
    ],
)
async def test_a_failure_has_its_code_and_none_of_fals_words(
    fal: Fal, fake: FakeFal, job: FalJob, error: type[ChukError]
) -> None:
    fake.script(job)
    with pytest.raises(error) as raised:
        await fal.paint(WANTED)
    assert type(raised.value) is error
    assert "secret" not in str(raised.value) and "asked" not in str(raised.value)
    assert fake.submissions == 1


async def test_what_fal_says_of_waiting_is_passed_on(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(refusal=Failure(429, {}, {"Retry-After": "9"})))
    with pytest.raises(ModelUnavailable) as raised:
        await fal.paint(WANTED)
    assert raised.value.details["retry_after"] == 9


async def test_a_wrong_key_or_a_locked_account_is_never_the_users_fault(fake: FakeFal) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ProviderError):
            await painter(session, fake, key="wrong").paint(WANTED)
        fake.is_locked = True
        with pytest.raises(ProviderError):
            await painter(session, fake).paint(WANTED)


async def test_a_lost_answer_is_not_answered_by_a_second_request(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(loses_answer=True))
    with pytest.raises(ProviderError):
        await fal.paint(WANTED)
    assert fake.submissions == 1


async def test_nobody_there_is_no_service(fake: FakeFal) -> None:
    async with aiohttp.ClientSession() as session:
        client = Fal(
            session,
            key="k",
            queue_url="http://127.0.0.1:1",
            model="fal-ai/z-image/turbo",
            start_within=120,
            run_once=run_once,
            sleep=no_pause,
        )
        with pytest.raises(ServiceUnavailable):
            await client.paint(WANTED)


async def test_who_leaves_the_queue_cancels_upstream(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(waits=None))
    painting = asyncio.create_task(fal.paint(WANTED))
    await fake.wait_until(lambda: bool(fake.jobs) and fake.only_job.asked > 2)
    painting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await painting
    await fake.wait_until(lambda: fake.only_job.is_cancelled)


async def test_who_leaves_while_it_is_submitted_cancels_it_once_it_is_known(
    fal: Fal, fake: FakeFal
) -> None:
    fake.script(FalJob(holds_answer=True, waits=None))
    painting = asyncio.create_task(fal.paint(WANTED))
    await fake.wait_until(lambda: fake.submissions == 1)
    painting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await painting
    fake.release.set()
    await fal.close()
    assert fake.only_job.is_cancelled
    assert fake.submissions == 1


async def test_closing_waits_until_upstream_knows(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(runs=None))
    painting = asyncio.create_task(fal.paint(WANTED))
    await fake.wait_until(lambda: bool(fake.jobs) and fake.only_job.asked > 2)
    painting.cancel()
    await fal.close()
    await asyncio.wait([painting])
    await fal.close()
    assert fake.only_job.is_cancelled


async def test_a_status_that_cannot_be_had_cancels_upstream(fal: Fal, fake: FakeFal) -> None:
    fake.script(FalJob(status_failures=1_000))
    with pytest.raises(ProviderError):
        await fal.paint(WANTED)
    await fal.close()
    assert fake.only_job.is_cancelled


def opened(data: bytes) -> Image.Image:
    """A picture, decoded."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture
