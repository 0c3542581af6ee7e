"""`POST /v1/ai/generate-image`, from the words to the picture in a browser."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import yarl
from PIL import Image

from chuk.web.envelope import Profile
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.fal import Failure, FakeFal, FalJob, content_policy
from tests.harness import RunningServer

PATH = "/v1/ai/generate-image"
PRESETS = {
    "square_hd": (1024, 1024, 0.05),
    "square": (512, 512, 0.02),
    "portrait_4_3": (768, 1024, 0.04),
    "portrait_16_9": (576, 1024, 0.03),
    "landscape_4_3": (1024, 768, 0.04),
    "landscape_16_9": (1024, 576, 0.03),
}
SMALL = {"custom_width": 96, "custom_height": 64}


@pytest.fixture
async def fal() -> AsyncIterator[FakeFal]:
    """A fake fal, running."""
    async with FakeFal() as fake:
        yield fake


@pytest.fixture
async def paid(start_server: StartServer, fal: FakeFal) -> AsyncIterator[RunningServer]:
    """A server that has its pictures from fal."""
    async with start_server(
        FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url, CHUK_LIMIT_IMAGE="1000"
    ) as running:
        yield running


@pytest.fixture
async def embedded(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that draws by itself, for people without credits too."""
    async with start_server(euros=0, CHUK_LIMIT_IMAGE="1000") as running:
        yield running


async def image(server: RunningServer, user: UUID | None = None, **fields: Any) -> Any:
    """The bare answer to a JSON request for a small picture of a fox."""
    if not fields.keys() & {"image_size", "custom_width", "custom_height"}:
        fields |= SMALL
    body = {"prompt": "a fox", **fields}
    return await ask(server, user or uuid4(), PATH, method="POST", json=body)


async def refusal(
    server: RunningServer, status: int, user: UUID | None = None, **fields: Any
) -> Any:
    """The error that such a request gets."""
    body = {"prompt": "a fox", **fields}
    answer = await ask(
        server, user or await rich(server), PATH, method="POST", status=status, json=body
    )
    return answer["error"]


async def fetched(url: str, **headers: str) -> tuple[int, bytes, Any]:
    """What somebody gets who knows nothing but the address."""
    async with aiohttp.ClientSession() as stranger, stranger.get(url, headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


# Through fal.


@pytest.mark.parametrize("preset", PRESETS)
async def test_every_preset_has_its_size_and_its_price(
    paid: RunningServer, fal: FakeFal, preset: str
) -> None:
    user = await rich(paid)
    width, height, cost = PRESETS[preset]
    found = await image(paid, user, image_size=preset, seed=5)
    url = found.pop("image_url")
    assert found == {
        "success": True,
        "width": width,
        "height": height,
        "seed": 5,
        "prompt": "a fox",
        "billing": {"cost_eur": cost, "megapixels": round(width * height / 1e6, 2)},
    }
    status, data, _ = await fetched(url)
    assert (status, Image.open(io.BytesIO(data)).size) == (200, (width, height))
    assert fal.only_job.input["image_size"] == {"width": width, "height": height}
    (receipt,) = await receipts_of(paid, user)
    assert (receipt["held_eur"], receipt["charged_eur"]) == (cost, cost)
    assert (receipt["model"], receipt["provider"]) == ("fal-ai/z-image/turbo", "fal")
    assert receipt["operation"] == "image"
    status_now = await ask(paid, user, "/v1/user/status")
    assert status_now["credits_remaining"] == pytest.approx(10 - cost)


async def test_a_form_is_as_good_as_json(paid: RunningServer, fal: FakeFal) -> None:
    user = await rich(paid)
    texts = {
        "prompt": "a fox",
        "image_size": "custom",
        "custom_width": "640",
        "custom_height": "320",
        "seed": "12",
    }
    multipart = aiohttp.FormData(default_to_multipart=True)
    for name, value in texts.items():
        multipart.add_field(name, value)
    for body in (multipart, aiohttp.FormData(texts)):
        found = await ask(paid, user, PATH, method="POST", data=body)
        assert (found["width"], found["height"], found["seed"]) == (640, 320, 12)
        assert found["billing"] == {"cost_eur": 0.01, "megapixels": 0.2}
    assert fal.submissions == 2


async def test_the_default_is_a_landscape(paid: RunningServer) -> None:
    user = await rich(paid)
    for fields in ({}, {"image_size": ""}, {"image_size": None, "custom_width": None}):
        found = await ask(paid, user, PATH, method="POST", json={"prompt": "a fox", **fields})
        assert (found["width"], found["height"]) == (1024, 768)
    found = await ask(
        paid, user, PATH, method="POST", data={"prompt": "a fox", "seed": "", "custom_width": ""}
    )
    assert (found["width"], found["height"]) == (1024, 768)


@pytest.mark.parametrize("prompt", ["", "  ", "x" * 1_001, "🙂" * 1_001])
async def test_a_prompt_out_of_bounds(paid: RunningServer, fal: FakeFal, prompt: str) -> None:
    assert (await refusal(paid, 400, prompt=prompt))["code"] == "INVALID_PROMPT"
    assert fal.submissions == 0


@pytest.mark.parametrize("prompt", ["x", "x" * 1_000, "🙂" * 1_000])
async def test_a_prompt_just_within_bounds(paid: RunningServer, prompt: str) -> None:
    assert (await image(paid, await rich(paid), prompt=prompt))["prompt"] == prompt


@pytest.mark.parametrize(
    "fields",
    [
        {"custom_width": 512},
        {"custom_height": 512},
        {"custom_width": 512, "image_size": "custom"},
        {"image_size": "custom"},
        {"custom_width": 63, "custom_height": 512},
        {"custom_width": 512, "custom_height": 2_049},
        {"custom_width": 0, "custom_height": -5},
        {"custom_width": 512, "custom_height": 512, "image_size": "square"},
        {"custom_width": 512, "image_size": "square"},
    ],
)
async def test_sides_out_of_bounds(
    paid: RunningServer, fal: FakeFal, fields: dict[str, Any]
) -> None:
    assert (await refusal(paid, 400, **fields))["code"] == "INVALID_DIMENSIONS"
    texts = {name: str(value) for name, value in fields.items()}
    answer = await ask(
        paid, await rich(paid), PATH, method="POST", status=400, data={"prompt": "a", **texts}
    )
    assert answer["error"]["code"] == "INVALID_DIMENSIONS"
    assert fal.submissions == 0


@pytest.mark.parametrize(("width", "height"), [(64, 64), (2_048, 64), (64, 2_048)])
async def test_sides_just_within_bounds(paid: RunningServer, width: int, height: int) -> None:
    found = await image(paid, await rich(paid), custom_width=width, custom_height=height)
    assert (found["width"], found["height"]) == (width, height)
    assert found["billing"]["megapixels"] > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", None),
        ("prompt", 5),
        ("image_size", "huge"),
        ("image_size", {"width": 5, "height": 5}),
        ("custom_width", "wide"),
        ("custom_width", 512.5),
        ("custom_width", True),
        ("seed", "lucky"),
        ("seed", -1),
        ("seed", 2**53),
    ],
)
async def test_a_field_of_a_wrong_kind_is_named(
    paid: RunningServer, fal: FakeFal, field: str, value: Any
) -> None:
    error = await refusal(paid, 400, **{field: value})
    assert error["code"] == "INVALID_REQUEST"
    assert field in error["details"]["fields"]
    assert fal.submissions == 0


async def test_a_size_that_there_is_not_is_told_which_there_are(paid: RunningServer) -> None:
    message = (await refusal(paid, 400, image_size="huge"))["message"]
    assert message.startswith("image_size: Must be one of: square_hd, ")


async def test_a_prompt_must_be_there(paid: RunningServer) -> None:
    answer = await ask(paid, uuid4(), PATH, method="POST", status=400, json={"seed": 1})
    assert answer["error"]["code"] == "INVALID_REQUEST"
    assert "prompt" in answer["error"]["details"]["fields"]


async def test_without_credits_fal_is_not_asked(paid: RunningServer, fal: FakeFal) -> None:
    error = await refusal(paid, 402, uuid4())
    assert error["code"] == "INSUFFICIENT_CREDITS"
    assert error["details"] == {"required": 0.04, "available": 0.0, "operation": "image"}
    assert fal.submissions == 0


async def test_a_token_is_needed(paid: RunningServer) -> None:
    async with paid.client.post(f"{paid.url}{PATH}", json={"prompt": "a fox"}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        (FalJob(failure=content_policy("a fox")), 400, "CONTENT_FILTERED"),
        (FalJob(nsfw=True), 400, "CONTENT_FILTERED"),
        (FalJob(refusal=Failure(401, {"detail": "no"})), 502, "PROVIDER_ERROR"),
        (FalJob(refusal=Failure(402, {"detail": "no"})), 502, "PROVIDER_ERROR"),
        (FalJob(refusal=Failure(403, {"detail": "no"})), 502, "PROVIDER_ERROR"),
        (FalJob(failure=Failure(500, {"detail": "no"})), 502, "PROVIDER_ERROR"),
        (FalJob(loses_answer=True), 502, "PROVIDER_ERROR"),
        (FalJob(refusal=Failure(429, {"detail": "no"})), 503, "MODEL_UNAVAILABLE"),
        (FalJob(failure=Failure(504, {"detail": "no"})), 504, "PROVIDER_TIMEOUT"),
    ],
)
async def test_a_failure_costs_nothing_and_is_told_by_its_code(
    paid: RunningServer, fal: FakeFal, job: FalJob, status: int, code: str
) -> None:
    user = await rich(paid)
    fal.script(job)
    error = await refusal(paid, status, user)
    assert error["code"] == code
    assert "fox" not in str(error)
    assert fal.submissions == 1
    (receipt,) = await receipts_of(paid, user)
    assert (receipt["charged_eur"], receipt["outcome"]) == (0.0, "failed")
    assert (await ask(paid, user, "/v1/user/status"))["credits_remaining"] == 10.0


async def test_what_takes_too_long_is_cancelled_and_costs_nothing(
    start_server: StartServer, fal: FakeFal
) -> None:
    async with start_server(
        FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url, CHUK_MEDIA_IMAGE_TIMEOUT="0.2"
    ) as server:
        user = await rich(server)
        fal.script(FalJob(waits=None))
        assert (await refusal(server, 504, user))["code"] == "PROVIDER_TIMEOUT"
        await fal.wait_until(lambda: fal.only_job.is_cancelled)
        assert (await ask(server, user, "/v1/user/status"))["credits_remaining"] == 10.0


async def test_a_client_that_leaves_cancels_upstream_and_pays_nothing(
    paid: RunningServer, fal: FakeFal
) -> None:
    user = await rich(paid)
    fal.script(FalJob(waits=None))
    asking = asyncio.create_task(image(paid, user))
    await fal.wait_until(lambda: bool(fal.jobs) and fal.only_job.asked > 0)
    asking.cancel()
    await asyncio.wait([asking])
    await fal.wait_until(lambda: fal.only_job.is_cancelled)
    async with asyncio.timeout(30):
        while not (receipts := await receipts_of(paid, user)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (receipts[0]["charged_eur"], receipts[0]["outcome"]) == (0.0, "cancelled")


async def test_pictures_have_a_limit_of_their_own(start_server: StartServer, fal: FakeFal) -> None:
    async with start_server(
        FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url, CHUK_LIMIT_IMAGE="2"
    ) as server:
        user = await rich(server)
        for _ in range(2):
            await image(server, user)
        assert (await refusal(server, 429, user))["code"] == "RATE_LIMITED"
        assert fal.submissions == 2


# Without a key.


async def test_without_a_key_it_draws_by_itself_and_takes_nothing(
    embedded: RunningServer,
) -> None:
    user = uuid4()
    found = await image(embedded, user, custom_width=320, custom_height=200, seed=3)
    assert found["billing"] == {"cost_eur": 0.0, "megapixels": 0.06}
    status, data, _ = await fetched(found["image_url"])
    picture = Image.open(io.BytesIO(data))
    picture.load()
    assert (status, picture.format, picture.size) == (200, "JPEG", (320, 200))
    (receipt,) = await receipts_of(embedded, user)
    assert (receipt["model"], receipt["provider"]) == ("local-sketch", "local")
    assert (receipt["charged_eur"], receipt["outcome"]) == (0.0, "completed")
    assert (receipt["prompt_tokens"], receipt["completion_tokens"]) == (0, 0)
    assert receipt["total_tokens"] > 0


async def test_a_seed_gives_the_same_picture_again(embedded: RunningServer) -> None:
    first = await image(embedded)
    assert 0 <= first["seed"] < 2**53
    again = await image(embedded, seed=first["seed"])
    other = await image(embedded, seed=first["seed"] + 1)
    assert len({first["image_url"], again["image_url"], other["image_url"]}) == 3
    pictures = [(await fetched(each["image_url"]))[1] for each in (first, again, other)]
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize("preset", PRESETS)
async def test_every_preset_is_drawn_under_four_megabytes(
    embedded: RunningServer, preset: str
) -> None:
    found = await image(embedded, image_size=preset)
    width, height, _ = PRESETS[preset]
    assert (found["width"], found["height"]) == (width, height)
    _, data, _ = await fetched(found["image_url"])
    assert Image.open(io.BytesIO(data)).size == (width, height)
    assert len(data) < 4_000_000


# Where it is had.


async def test_a_picture_opens_anywhere_and_can_do_nothing(embedded: RunningServer) -> None:
    url = (await image(embedded))["image_url"]
    assert url.startswith(f"{embedded.url}/v1/ai/images/")
    status, data, headers = await fetched(url, Origin="https://anywhere.example")
    assert status == 200
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Content-Length"] == str(len(data))
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    cache, seconds, immutable = headers["Cache-Control"].split(", ")
    assert (cache, immutable) == ("private", "immutable")
    assert 3_600 < int(seconds.removeprefix("max-age=")) <= 86_400
    # Whatever header comes with it.
    assert (await fetched(url, Authorization="Bearer nonsense"))[0] == 200


async def test_its_head_can_be_asked_for(embedded: RunningServer) -> None:
    url = (await image(embedded))["image_url"]
    _, data, _ = await fetched(url)
    async with embedded.client.head(url) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Length"] == str(len(data))
        assert await answer.read() == b""


async def test_origins_that_are_configured_get_no_more_than_others(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_CORS_ORIGINS="https://app.example") as server:
        url = (await image(server))["image_url"]
        for origin in ("https://app.example", "https://evil.example"):
            status, _, headers = await fetched(url, Origin=origin)
            assert status == 200
            assert headers.getall("Access-Control-Allow-Origin") == ["*"]
            assert "Access-Control-Allow-Credentials" not in headers


async def test_a_picture_that_has_expired_is_not_found(
    embedded: RunningServer, tmp_path: Path
) -> None:
    url = (await image(embedded))["image_url"]
    (file,) = (tmp_path / "data" / "pictures").iterdir()
    made = file.stat().st_mtime
    os.utime(file, (made - 86_399 + 60, made - 86_399 + 60))
    assert (await fetched(url))[0] == 200
    os.utime(file, (made - 86_400, made - 86_400))
    status, body, headers = await fetched(url, Origin="https://anywhere.example")
    assert status == 404
    assert b'"NOT_FOUND"' in body
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "name",
    [
        "nothing.jpg",
        "a" * 43 + ".jpg",
        "..%2f..%2fsecret",
        "%2e%2e%2fbooks.sqlite3",
        "a%00b.jpg",
        "%ff%fe",
        "x" * 3_000,
    ],
)
async def test_nothing_else_is_found_there(embedded: RunningServer, name: str) -> None:
    url = yarl.URL(f"{embedded.url}/v1/ai/images/{name}", encoded=True)
    async with embedded.client.get(url) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "NOT_FOUND"


async def test_links_lead_to_the_public_address(start_server: StartServer) -> None:
    async with start_server(CHUK_PUBLIC_URL="https://api.chuk.example/base/") as server:
        headers = {**server.bearer(), "Host": "evil.example", "Accept": Profile.BARE.content_type}
        async with server.client.post(
            f"{server.url}{PATH}", json={"prompt": "a fox", **SMALL}, headers=headers
        ) as answer:
            url = (await answer.json())["image_url"]
        assert url.startswith("https://api.chuk.example/base/v1/ai/images/")


async def test_the_configuration_tells_what_is_possible(
    embedded: RunningServer, paid: RunningServer
) -> None:
    free = await ask(embedded, uuid4(), "/v1/ai/config")
    assert free["features"]["image_generation"] is True
    assert free["prices"]["image_per_2_20_pixels_eur"] == 0.0
    assert free["formats"]["image_sizes"] == list(PRESETS)
    assert free["limits"]["image_prompt_max"] == 1_000
    assert (free["limits"]["image_side_min"], free["limits"]["image_side_max"]) == (64, 2_048)
    priced = await ask(paid, uuid4(), "/v1/ai/config")
    assert priced["prices"]["image_per_2_20_pixels_eur"] == 0.05
