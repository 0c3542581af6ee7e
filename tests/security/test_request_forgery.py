"""API7:2023, server side request forgery: nothing that a client says makes this server fetch.

`Elsewhere` stands where an attacker would like the server to go; after every request nobody has
been there. What documents of each kind name is kept in tests/media/test_reading_hostile.py, keys
that tokens name in test_authentication.py, what hostile services name in
test_upstream_consumption.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.api.socket_client import message
from tests.conftest import StartServer
from tests.credits.people import rich
from tests.fakes.fal import FakeFal
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.stripe import FakeStripe
from tests.harness import MODEL, RunningServer, turn_events
from tests.security.attacks import Elsewhere, ask

FILE = "file" + "://"
APP = "https://app.chuk.test"


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """Where nobody must go; checked at the end of each test."""
    async with Elsewhere() as place:
        yield place
        assert place.visits == []


def seeing(openrouter: FakeOpenRouter) -> str:
    """A model that is shown pictures."""
    return next(each.id for each in openrouter.models if "image" in each.input_modalities)


def links(address: str) -> list[str]:
    """Spellings of an address that a naive look would let through."""
    host = address.removeprefix("http://")
    return [
        f"{address}/picture.png",
        f"{address}/picture.png#data:image/png;base64,AAAA",
        f" {address}/x",
        f"HTTP://{host}/x",
        f"//{host}/x",
        f"url:{address}",
        f"{FILE}/etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/x",
        "http://0/x",
        "http://2130706433/x",
    ]


async def test_a_link_to_a_picture_is_neither_fetched_nor_passed_on(
    server: RunningServer, openrouter: FakeOpenRouter, elsewhere: Elsewhere
) -> None:
    user = await rich(server)
    model = seeing(openrouter)
    for link in links(elsewhere.address):
        part = [{"type": "image_url", "image_url": {"url": link}}, {"type": "text", "text": "?"}]
        for body in (
            {"images": [link]},
            {"history": [{"role": "user", "content": part}]},
            {"history": [{"role": "user", "content": "x", "images": [link]}]},
        ):
            asked = {"model_id": model, "message": "Look", **body}
            await ask(server, "POST", "/v1/ai/chat", user, json=asked)
            async with server.socket(headers=server.bearer(user)) as socket:
                await socket.send_json(message(**asked))
                await turn_events(socket)
        await ask(
            server,
            "POST",
            "/v1/chat/completions",
            user,
            json={"model": model, "messages": [{"role": "user", "content": part}]},
        )
    for sent in openrouter.completions:
        text = json.dumps(sent.body["messages"])
        assert "image_url" not in text or "data:image" in text
        assert elsewhere.address not in text
        assert "169.254" not in text


@pytest.mark.parametrize("field", ["model_id", "provider_slug", "provider", "system_prompt"])
async def test_no_name_leads_to_another_address(
    server: RunningServer, openrouter: FakeOpenRouter, elsewhere: Elsewhere, field: str
) -> None:
    user = await rich(server)
    host = elsewhere.address.removeprefix("http://")
    for value in (
        elsewhere.address,
        f"@{host}/",
        f"../../../{host}",
        f"{MODEL}?@{host}",
        f"x\r\nHost: {host}",
        f"{MODEL}/../../generation",
    ):
        body = {"model_id": MODEL, "message": "Hello", field: value}
        await ask(server, "POST", "/v1/ai/chat", user, json=body)
        await ask(server, "GET", f"/v1/models/{value.replace(' ', '')}".split("\r")[0], user)
        await ask(server, "GET", "/v1/ai/config", user, params={"model_id": value})
    paths = {request.path for request in openrouter.requests}
    known = {"/models", "/endpoints/zdr", "/chat/completions", "/embeddings/models", "/generation"}
    pages = {f"/models/{model.id}/endpoints" for model in openrouter.models}
    assert paths <= known | pages


async def test_addresses_for_calling_back_are_heard_by_nobody(
    server: RunningServer, elsewhere: Elsewhere
) -> None:
    user = await rich(server)
    names = ("callback_url", "webhook_url", "webhook", "url", "image_url", "file_url", "base_url")
    wishes = dict.fromkeys(names, f"{elsewhere.address}/called")
    for path, body in (
        ("/v1/ai/chat", {"model_id": MODEL, "message": "Hello"}),
        ("/v1/ai/quote", {"model_id": MODEL, "message": "Hello"}),
        ("/v1/ai/generate-image", {"prompt": "a hill", "custom_width": 64, "custom_height": 64}),
        ("/v1/chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}),
        ("/v1/user/api-keys", {"name": "ci"}),
    ):
        await ask(server, "POST", path, user, json={**body, **wishes})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", "<p>Words</p><img src='{0}/a'><script src='{0}/b'></script>"),
        ("a.svg", "<svg xmlns='http://www.w3.org/2000/svg'><image href='{0}/a'/></svg>"),
        ("a.xml", "<!DOCTYPE x [<!ENTITY e SYSTEM '{0}/a'>]><x>&e;Words</x>"),
        ("a.md", "Words ![a]({0}/a)"),
        ("a.txt", "{0}/a"),
        ("a.url", "[InternetShortcut]\nURL={0}/a"),
        ("a.m3u8", "#EXTM3U\n#EXTINF:10,\n{0}/a.ts\n"),
    ],
)
async def test_what_a_file_names_is_not_fetched(
    server: RunningServer, elsewhere: Elsewhere, name: str, content: str
) -> None:
    user = await rich(server)
    text = content.replace("{0}", elsewhere.address).encode()
    for path, part in (("/v1/ai/convert-file", "file"), ("/v1/ai/transcribe-audio", "audio_file")):
        form = aiohttp.FormData()
        form.add_field(part, text, filename=name)
        told = await ask(server, "POST", path, user, data=form)
        assert told.status in (200, 400, 415), (path, told.body)


@pytest.mark.parametrize("part", ["file", "audio_file"])
async def test_an_address_instead_of_a_file_is_no_file(
    server: RunningServer, elsewhere: Elsewhere, part: str
) -> None:
    path = "/v1/ai/convert-file" if part == "file" else "/v1/ai/transcribe-audio"
    for data in ({part: elsewhere.address}, {"url": elsewhere.address}):
        told = await ask(server, "POST", path, await rich(server), data=data)
        assert told.status == 400


async def test_stripe_leads_people_back_to_the_app_alone(
    start_server: StartServer, elsewhere: Elsewhere
) -> None:
    async with (
        FakeStripe() as stripe,
        start_server(CHUK_APP_URL=APP, **stripe.environ()) as server,
    ):
        wishes = dict.fromkeys(("success_url", "cancel_url", "return_url"), elsewhere.address)
        told = await ask(
            server,
            "POST",
            "/v1/stripe/create-checkout-session",
            await rich(server),
            json=wishes,
            headers={
                "Host": "evil.example",
                "X-Forwarded-Host": "evil.example",
                "Forwarded": "host=evil.example",
                "Origin": "https://evil.example",
                "Referer": "https://evil.example/",
            },
        )
        assert told.status == 200
        (page,) = stripe.writes("/v1/checkout/sessions")
        addresses = [value for name, value in page.params.items() if name.endswith("_url")]
        assert addresses
        assert all(each.startswith(f"{APP}/") for each in addresses)
        assert "evil.example" not in json.dumps(page.params)


async def test_links_to_pictures_name_the_configured_address_alone(
    start_server: StartServer,
) -> None:
    async with (
        FakeFal() as fal,
        start_server(
            FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url, CHUK_PUBLIC_URL="https://api.chuk.test"
        ) as server,
    ):
        told = await ask(
            server,
            "POST",
            "/v1/ai/generate-image",
            await rich(server),
            json={"prompt": "a hill", "custom_width": 64, "custom_height": 64},
            headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"},
        )
        assert told.data["image_url"].startswith("https://api.chuk.test/")
