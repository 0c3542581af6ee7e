"""Pictures are known by their bytes, bounded, and only for models that see."""

from __future__ import annotations

import base64
import io
from typing import Any

import aiohttp
import pytest

from tests.api.chat_client import post, post_fields
from tests.api.socket_client import chats
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, RunningServer, turn_events

VISION = "google/gemma-3-27b-it"
PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n" + b"\x00" * 8,
    "image/jpeg": b"\xff\xd8\xff\xe0" + b"\x00" * 8,
    "image/webp": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    "image/gif": b"GIF89a" + b"\x00" * 8,
}
PNG = PICTURES["image/png"]


def data_url(content: bytes, media_type: str = "image/jpeg") -> str:
    """A data URL; labelled as the app labels every picture, unless said otherwise."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


async def post_urls(server: RunningServer, urls: list[str], **fields: Any) -> tuple[int, Any]:
    """A JSON request with these data URLs, for a model that sees unless said otherwise."""
    return await post_fields(server, **{"model_id": VISION, "images": urls, **fields})


def app_form(pictures: list[bytes], name: str = "images", **fields: str) -> aiohttp.FormData:
    """The form as the app sends it: every picture an octet stream."""
    form = aiohttp.FormData({"model_id": VISION, "message": "What is this?", **fields})
    for number, picture in enumerate(pictures):
        form.add_field(
            name,
            io.BytesIO(picture),
            filename=f"image_{number}.jpg",
            content_type="application/octet-stream",
        )
    return form


def sent_urls(openrouter: FakeOpenRouter) -> list[str]:
    """The pictures of the last message that upstream got."""
    content = openrouter.completions[-1].body["messages"][-1]["content"]
    return [part["image_url"]["url"] for part in content if part["type"] == "image_url"]


@pytest.mark.parametrize("name", ["images", "images[]"])
async def test_uploaded_pictures_are_known_by_their_bytes(
    server: RunningServer, openrouter: FakeOpenRouter, name: str
) -> None:
    status, _ = await post(server, data=app_form(list(PICTURES.values()), name))
    assert status == 200
    assert sent_urls(openrouter) == [data_url(content, kind) for kind, content in PICTURES.items()]


async def test_the_label_of_a_data_url_is_put_right(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    status, _ = await post_urls(server, [data_url(content) for content in PICTURES.values()])
    assert status == 200
    assert sent_urls(openrouter) == [data_url(content, kind) for kind, content in PICTURES.items()]


async def test_the_same_over_a_socket(server: RunningServer, openrouter: FakeOpenRouter) -> None:
    async with server.socket() as socket:
        await socket.send_json({"model_id": VISION, "message": "", "images": [data_url(PNG)]})
        assert "done" in (await turn_events(socket))[-1]
    assert sent_urls(openrouter) == [data_url(PNG, "image/png")]


async def test_a_large_picture_arrives_unharmed(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    # Larger than the steps in which pictures are encoded and checked.
    content = PNG + bytes(range(256)) * 28_000
    assert (await post(server, data=app_form([content])))[0] == 200
    assert sent_urls(openrouter) == [data_url(content, "image/png")]
    assert (await post_urls(server, [data_url(content)]))[0] == 200
    assert sent_urls(openrouter) == [data_url(content, "image/png")]


async def test_a_picture_alone_is_a_message(server: RunningServer) -> None:
    assert (await post_urls(server, [data_url(PNG)], message=""))[0] == 200
    assert (await post(server, data=app_form([PNG], message=" ")))[0] == 200


@pytest.mark.parametrize(
    "content", [b"", b"%PDF-1.7", b"BM", b"\x89PN", b"RIFF\x00\x00\x00\x00AVI ", b"<svg/>"]
)
async def test_what_is_no_picture_is_refused(server: RunningServer, content: bytes) -> None:
    for status, answer in (
        await post(server, data=app_form([PNG, content])),
        await post_urls(server, [data_url(PNG), data_url(content, "image/png")]),
    ):
        assert status == 415
        assert answer["error"]["code"] == "UNSUPPORTED_FORMAT"
        assert "image/png" in answer["error"]["details"]["supported"]


async def test_ten_pictures_pass_and_eleven_do_not(server: RunningServer) -> None:
    assert (await post_urls(server, [data_url(PNG)] * 10))[0] == 200
    assert (await post(server, data=app_form([PNG] * 10)))[0] == 200
    for status, answer in (
        await post_urls(server, [data_url(PNG)] * 11),
        await post(server, data=app_form([PNG] * 11)),
    ):
        assert status == 400
        assert list(answer["error"]["details"]["fields"]) == ["images"]


async def test_pictures_over_20_mb_together_are_refused(server: RunningServer) -> None:
    half = PNG + b"\x00" * (10_000_000 - len(PNG))
    for status, answer in (
        await post(server, data=app_form([half, half, PNG])),
        await post_urls(server, [data_url(half), data_url(half), data_url(PNG)]),
    ):
        assert status == 413
        assert answer["error"]["code"] == "FILE_TOO_LARGE"
        assert answer["error"]["details"] == {
            "max_size_bytes": 20_000_000,
            "file_size_bytes": 20_000_000 + len(PNG),
            "max_size_display": "20 MB",
        }


async def test_a_request_over_28_mb_is_refused_unread(server: RunningServer) -> None:
    status, answer = await post(server, data=app_form([PNG + b"\x00" * 28_000_000]))
    assert status == 413
    assert answer["error"]["details"]["max_size_bytes"] == 28_000_000


async def test_new_pictures_for_a_model_that_cannot_see_are_refused(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    for status, answer in (
        await post(server, data=app_form([PNG], model_id=MODEL)),
        await post_urls(server, [data_url(PNG)], model_id=MODEL),
    ):
        assert status == 400
        assert answer["error"]["code"] == "INVALID_REQUEST"
        assert list(answer["error"]["details"]["fields"]) == ["images"]
    assert openrouter.completions == []


@pytest.mark.parametrize("url", [data_url(b"no picture"), "https://example.org/a.png"])
async def test_whatever_pictures_earlier_turns_had_are_dropped_for_a_model_that_cannot_see(
    server: RunningServer, openrouter: FakeOpenRouter, url: str
) -> None:
    parts = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": url}}]
    history = [
        {"role": "user", "content": "See", "images": [url]},
        {"role": "user", "content": parts},
    ]
    assert (await post_fields(server, history=history))[0] == 200
    async with server.socket() as socket:
        assert await chats(socket, history=history)
    for asked in openrouter.completions:
        texts = [message["content"] for message in asked.body["messages"]]
        assert texts == ["See", "Look", "Hello"]
    # One that can see is not shown something else than was meant.
    assert (await post_urls(server, [], history=history))[0] in (400, 415)


async def test_pictures_of_earlier_turns_do_not_count_against_the_new_ones(
    start_server: StartServer,
) -> None:
    earlier = {"role": "user", "content": "Look", "images": [data_url(PNG)]}
    async with start_server(CHUK_CHAT_IMAGE_MAX_COUNT="1") as server:
        status, _ = await post_urls(server, [data_url(PNG)], history=[earlier] * 4)
        assert status == 200
