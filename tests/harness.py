"""Starts the real application in this process, on a real port, for tests to talk to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from aiohttp import web

from chuk.accounts.issuer import DEFAULT_USER
from chuk.api.keys import LEDGER
from chuk.app import WIRING, build_app, embedded_issuer
from chuk.credits.money import MicroEuro
from chuk.listening import listening_socket
from chuk.runner import make_runner
from chuk.settings import Settings, load
from tests.fakes.openrouter import FakeOpenRouter

MODEL = "qwen/qwen3-32b"


@dataclass
class RunningServer:
    """A server that listens, and a client for it.

    Attributes:
        url: without a slash at the end.
        client: closed with the server; sends no token by itself.
    """

    url: str
    settings: Settings
    app: web.Application
    runner: web.AppRunner
    client: aiohttp.ClientSession

    def token(self, user: UUID = DEFAULT_USER, *, seconds: int = 600) -> str:
        """A token of the embedded issuer."""
        issuer = embedded_issuer(self.settings)
        assert issuer is not None
        return issuer.token(user, timedelta(seconds=seconds))

    def bearer(self, user: UUID = DEFAULT_USER, *, seconds: int = 600) -> dict[str, str]:
        """The header that signs `user` in."""
        return {"Authorization": f"Bearer {self.token(user, seconds=seconds)}"}

    async def fund(self, euros: int, user: UUID = DEFAULT_USER) -> None:
        """Give a user credits, as the support would."""
        granted = MicroEuro(euros * 1_000_000)
        assert await self.app[LEDGER].grant(user, granted, f"test:{uuid4()}")

    async def chat(self, message: str = "Hello", **fields: Any) -> list[Any]:
        """One whole turn over SSE: its events, the end as the text `[DONE]`."""
        body = {"model_id": MODEL, "message": message, **fields}
        async with self.client.post(
            f"{self.url}/v1/ai/chat", json=body, headers=self.bearer()
        ) as response:
            assert response.status == 200, await response.text()
            return sse_events(await response.read())

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """An open chat socket, signed in by its header unless `headers` says otherwise."""
        options.setdefault("headers", self.bearer())
        query = options.pop("query", "")
        async with self.client.ws_connect(f"{self.url}/v1/ai/chat/ws{query}", **options) as socket:
            yield socket


def sse_events(body: bytes) -> list[Any]:
    """The data of each event of a whole SSE body; JSON decoded, `[DONE]` as it is."""
    events: list[Any] = []
    for block in body.decode("utf-8").split("\n\n"):
        for line in block.split("\n"):
            if line.startswith("data: "):
                data = line[6:]
                events.append(data if data == "[DONE]" else json.loads(data))
    return events


@asynccontextmanager
async def live_sse(
    server: RunningServer, **fields: Any
) -> AsyncIterator[AsyncGenerator[Any, None]]:
    """One turn over SSE whose events are read one by one, as they arrive."""
    body = {"model_id": MODEL, "message": "Hello", **fields}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=body, headers=server.bearer()
    ) as response:
        assert response.status == 200, await response.text()

        async def events() -> AsyncGenerator[Any, None]:
            async with asyncio.timeout(30):
                rest = b""
                while chunk := await response.content.readany():
                    *blocks, rest = (rest + chunk).split(b"\n\n")
                    for event in sse_events(b"\n\n".join(blocks)):
                        yield event

        async with aclosing(events()) as arriving:
            yield arriving


async def eventually(condition: Callable[[], bool], *, timeout: float = 30.0) -> None:
    """Wait until a condition that nobody announces holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def answer_text(events: list[Any]) -> str:
    """The contents of a turn, joined."""
    return "".join(event["content"] for event in events if "content" in event)


async def turn_events(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    """The events of the one turn running on a socket, up to its end."""
    events: list[Any] = []
    async with asyncio.timeout(30):
        while not events or not ({"done", "error"} & events[-1].keys()):
            events.append(await socket.receive_json())
    return events


@asynccontextmanager
async def running_server(
    environ: Mapping[str, str],
    folder: Path,
    *,
    prepare: Callable[[web.Application], object] | None = None,
    wait_until_ready: bool = True,
    euros: int = 0,
) -> AsyncIterator[RunningServer]:
    """Run the application with these environment variables and a data folder under `folder`.

    Args:
        prepare: changes the application before it starts, to hang a route for one test on it.
        wait_until_ready: False where the test is about a server that never gets its models.
        euros: the credits of the default user.
    """
    own = {"CHUK_DATA_DIR": str(folder / "data"), "CHUK_PORT": "0"}
    settings = load({**own, **environ}, directory=folder)
    unheard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: unheard.append(f"{context['message']}: {context.get('exception')!r}")
    )
    app = await build_app(settings)
    if prepare is not None:
        prepare(app)
    runner = make_runner(app)
    await runner.setup()
    try:
        await web.SockSite(runner, listening_socket(settings)).start()
        if wait_until_ready:
            async with asyncio.timeout(30):
                await app[WIRING].ready()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession() as client:
            running = RunningServer(f"http://{host}:{port}", settings, app, runner, client)
            if euros:
                await running.fund(euros)
            yield running
    finally:
        await runner.cleanup()
    # A task that failed and that nobody asked would only be a line in the log.
    assert not unheard, unheard


def openrouter_environ(fake: FakeOpenRouter) -> dict[str, str]:
    """The variables that point a server at a fake OpenRouter."""
    return {"OPENROUTER_API_KEY": fake.api_key, "OPENROUTER_BASE_URL": fake.base_url}
