"""API10:2023, unsafe consumption of APIs: a service's answer is as little trusted as a client's.

Each service is replaced by one that was taken over. Nobody is sent elsewhere, nothing is read
without end, no word of it reaches a client, and the client gets an error that is nobody's fault but
the service's. The finer failures of each service are kept beside its adapter in tests/adapters
(test_openai_compatible.py, test_openrouter_catalog_faults.py, test_fal.py, test_groq.py,
test_inworld.py, test_stripe.py, test_supabase_faults.py, test_redis_*.py).
"""

from __future__ import annotations

import base64
import math
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest

from tests.conftest import StartServer
from tests.credits.people import rich
from tests.fakes.fal import FakeFal, FalJob
from tests.fakes.openrouter import FakeOpenRouter, Fault, Reply
from tests.harness import MODEL, RunningServer, sse_events
from tests.redis_server import RedisServer
from tests.security.attacks import Elsewhere, Told, ask
from tests.security.hostile import HostileService, Way

_MEGABYTE = 2**20
# More than any bound, and far less than what is offered.
_MOST_READ = 300 * _MEGABYTE
_HEAD = b"RIFF\x24\x3e\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data"


def wav() -> bytes:
    """Half a second of a loud tone: silence is not even sent."""
    tone = b"".join(
        round(20_000 * math.sin(number / 6)).to_bytes(2, "little", signed=True)
        for number in range(8_000)
    )
    return _HEAD + len(tone).to_bytes(4, "little") + tone


async def draws(server: RunningServer) -> Told:
    body = {"prompt": "a hill", "custom_width": 64, "custom_height": 64}
    return await ask(server, "POST", "/v1/ai/generate-image", await rich(server), json=body)


async def hears(server: RunningServer) -> Told:
    form = aiohttp.FormData()
    form.add_field("audio_file", wav(), filename="a.wav")
    return await ask(server, "POST", "/v1/ai/transcribe-audio", await rich(server), data=form)


async def speaks(server: RunningServer) -> Told:
    body = {"text": "Hello"}
    return await ask(server, "POST", "/v1/ai/inworld-tts", await rich(server), json=body)


async def buys(server: RunningServer) -> Told:
    return await ask(server, "POST", "/v1/stripe/create-checkout-session", await rich(server))


async def signs_in(server: RunningServer) -> Told:
    header = {"alg": "ES256", "kid": "x", "typ": "JWT"}
    parts = [orjson.dumps(header), b"{}", b"x" * 64]
    token = ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in parts)
    headers = {"Authorization": f"Bearer {token}"}
    return await ask(server, "GET", "/v1/user/status", headers=headers)


@dataclass(frozen=True)
class Service:
    """One outside service: what points a server at it, and what makes a server ask it."""

    name: str
    environ: Callable[[str], dict[str, str]]
    use: Callable[[RunningServer], Awaitable[Told]]

    def __str__(self) -> str:
        return self.name


SERVICES = [
    Service("fal", lambda url: {"FAL_KEY": "k", "FAL_QUEUE_URL": url}, draws),
    Service("groq", lambda url: {"GROQ_API_KEY": "k", "GROQ_BASE_URL": url}, hears),
    Service("inworld", lambda url: {"INWORLD_API_KEY": "k", "INWORLD_BASE_URL": url}, speaks),
    Service(
        "stripe",
        lambda url: {
            "STRIPE_SECRET_KEY": "k",
            "STRIPE_WEBHOOK_SECRET": "w",
            "STRIPE_PRICE_ID": "p",
            "STRIPE_API_BASE": url,
        },
        buys,
    ),
    Service("jwks", lambda url: {"SUPABASE_URL": url}, signs_in),
]


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """Where nobody must go; checked at the end of each test."""
    async with Elsewhere() as place:
        yield place
        assert place.visits == []


def highest_memory() -> int:
    """The most that this process has ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("service", SERVICES, ids=str)
async def test_a_service_that_was_taken_over_gets_nobody_anywhere(
    start_server: StartServer, elsewhere: Elsewhere, service: Service, way: Way
) -> None:
    async with (
        HostileService(way, elsewhere.address) as hostile,
        start_server(**service.environ(hostile.address)) as server,
    ):
        before = highest_memory()
        told = await service.use(server)
        assert told.status in (401, 402, 500, 502, 503, 504), told
        text = str(told.body)
        assert "alert(1)" not in text and "app.py" not in text and "elsewhere" not in text
        assert "INTERNAL_ERROR" not in told.code, told
        assert hostile.asked
        assert hostile.sent < _MOST_READ
        assert highest_memory() - before < _MOST_READ
        assert (await ask(server, "GET", "/health")).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_completion_is_asked_of_nobody_else(
    start_server: StartServer, openrouter: FakeOpenRouter, elsewhere: Elsewhere, status: int
) -> None:
    openrouter.script(Reply(status=status, headers={"Location": f"{elsewhere.address}/x"}))
    async with start_server() as server:
        body = {"model_id": MODEL, "message": "Hello"}
        told = await ask(server, "POST", "/v1/ai/chat", await rich(server), json=body)
        assert (told.status, told.code) == (502, "PROVIDER_ERROR")


@pytest.mark.parametrize("path", ["/models", "/endpoints/zdr", f"/models/{MODEL}/endpoints"])
async def test_a_list_is_fetched_from_nobody_else(
    start_server: StartServer, openrouter: FakeOpenRouter, elsewhere: Elsewhere, path: str
) -> None:
    openrouter.fail(path, Fault(status=302, headers={"Location": f"{elsewhere.address}/x"}))
    async with start_server(wait_until_ready=False) as server:
        await openrouter.wait_until(
            lambda: any(request.path == path for request in openrouter.requests)
        )
        assert (await ask(server, "GET", "/")).status == 200


@pytest.mark.parametrize(
    "frames",
    [
        [b"data: <html>\n\n"],
        [b"data: null\n\n", b"data: 7\n\n", b"data: []\n\n"],
        [b'data: {"choices": {"delta": 1}}\n\n'],
        [b'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n'],
        [b'data: {"choices": [{"delta": {"content": "a"}}], "usage": {"cost": "free"}}\n\n'],
        [b'data: {"usage": {"cost": -5, "completion_tokens": -9}}\n\n'],
        [b'data: {"usage": {"cost": 1e308, "completion_tokens": 1e308}}\n\n'],
        [b'data: {"error": {"code": [], "message": {}}}\n\n'],
        [b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n'],
        [b"data: " + b"[" * 100_000 + b"\n\n"],
        [b": " + b"x" * 1_000_000 + b"\n"] * 3,
        [b"\0" * 1_000],
    ],
    ids=range(12),
)
async def test_a_stream_of_nonsense_is_an_error_and_never_a_gift_or_a_robbery(
    start_server: StartServer, openrouter: FakeOpenRouter, frames: list[bytes]
) -> None:
    openrouter.script(Reply(raw=frames))
    async with start_server(euros=5) as server:
        body = {"model_id": MODEL, "message": "Hello"}
        async with server.client.post(
            f"{server.url}/v1/ai/chat", json=body, headers=server.bearer()
        ) as answer:
            raw = await answer.read()
        if answer.status == 200:
            events = sse_events(raw)
            ends = [each for each in events if each == "[DONE]" or "error" in each]
            assert len(ends) == 1 and events[-1] == ends[0]
        else:
            assert answer.status in (502, 503, 504)
        told = await ask(server, "GET", "/v1/user/status", headers=server.bearer())
        assert 0 <= told.data["credits_remaining"] <= 5
        assert told.data["credits_total"] == 5


async def test_a_picture_is_fetched_from_no_address_inside(
    start_server: StartServer, elsewhere: Elsewhere
) -> None:
    class Leading(FakeFal):
        """It draws, and then says that the picture is at some other address."""

        address_of_picture: Any = ""

        async def _result(self, request: Any) -> Any:
            answer = await super()._result(request)
            body = orjson.loads(answer.body)
            body["images"][0]["url"] = self.address_of_picture
            return aiohttp.web.json_response(body)

    async with (
        Leading() as fal,
        start_server(FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url) as server,
    ):
        host = elsewhere.address.removeprefix("http://")
        for url in (
            f"{elsewhere.address}/x.png",
            f"https://{host}/x.png",
            f"https://user:pass@{host}/x.png",
            "https://localhost/x.png",
            "https://127.0.0.1/x.png",
            "https://[::1]/x.png",
            "https://[::ffff:127.0.0.1]/x.png",
            "https://169.254.169.254/latest/meta-data",
            "https://10.0.0.1/x.png",
            "https://0.0.0.0/x.png",
            "https://2130706433/x.png",
            "http://example.org/x.png",
            "FILE:/etc/passwd",
            "ftp://127.0.0.1/x",
            "//127.0.0.1/x",
            7,
            None,
        ):
            fal.address_of_picture = url
            fal.script(FalJob(waits=0, runs=0))
            told = await draws(server)
            assert (told.status, told.code) == (502, "PROVIDER_ERROR"), url


async def test_what_lies_in_redis_and_is_not_ours_harms_nobody(
    start_server: StartServer, redis_server: RedisServer
) -> None:
    async with start_server(REDIS_URL=redis_server.url) as server:
        body = {"model_id": MODEL, "message": "Hello"}
        user = await rich(server)
        assert (await ask(server, "POST", "/v1/ai/chat", user, json=body)).status == 200
        with redis_server.client() as client:
            for key in client.keys("*"):
                kind = client.type(key)
                client.delete(key)
                if kind == b"string":
                    client.rpush(key, b"\xff", b"{}")
                else:
                    client.set(key, b"\xff\xfe nonsense {")
        for method, path, sent in (
            ("POST", "/v1/ai/chat", body),
            ("GET", "/v1/ai/chat/streams", None),
            ("GET", "/v1/ai/models", None),
            ("GET", "/v1/user/status", None),
            ("GET", "/health", None),
        ):
            told = await ask(server, method, path, user, json=sent)
            assert told.status in (200, 429, 503), (path, told.body)
