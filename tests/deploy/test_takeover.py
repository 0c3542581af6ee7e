"""A new release takes the listening socket over while the old one drains, and nobody notices."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from chuk.app import embedded_issuer
from chuk.settings import load
from tests.crash.books import ledger_of
from tests.deploy.instances import end, instance, shared_socket, well
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, answer_text, eventually, openrouter_environ, sse_events
from tests.redis_server import RedisServer


@dataclass
class Load:
    """Clients that come all the time, and streams that last.

    Attributes:
        statuses: what those were answered who came and went; nobody may be refused.
        chats: the events of the turns that they had.
        begun: whether they come yet.
    """

    url: str
    data: Path
    client: aiohttp.ClientSession
    statuses: list[int] = field(default_factory=list)
    chats: list[list[Any]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def bearer(self) -> dict[str, str]:
        """The header of somebody who has never been here: each has ten free messages."""
        issuer = embedded_issuer(load({"CHUK_DATA_DIR": str(self.data)}, directory=self.data))
        assert issuer is not None
        return {"Authorization": f"Bearer {issuer.token(UUID(int=uuid4().int))}"}

    async def chat(self, message: str) -> list[Any]:
        """One whole turn over SSE, on a connection of its own."""
        body = {"model_id": MODEL, "message": message}
        async with self.client.post(
            f"{self.url}/v1/ai/chat", json=body, headers=self.bearer()
        ) as answer:
            assert answer.status == HTTPStatus.OK, await answer.text()
            return sse_events(await answer.read())

    async def socket_chat(self, message: str) -> list[Any]:
        """The same over a WebSocket."""
        events: list[Any] = []
        address = f"{self.url}/v1/ai/chat/ws"
        async with self.client.ws_connect(address, headers=self.bearer()) as talk:
            await talk.send_json({"model_id": MODEL, "message": message})
            while not events or "done" not in events[-1]:
                events.append(await talk.receive_json())
                assert "error" not in events[-1], events
        return events

    def begin(self) -> None:
        """Let them come."""
        self.begun.set()

    async def come_and_go(self) -> None:
        """Connect, ask and leave, for ever."""
        await self.begun.wait()
        while True:
            async with self.client.get(f"{self.url}/health") as answer:
                self.statuses.append(answer.status)
            self.chats.append(await self.chat("short"))

    async def more(self, number: int) -> None:
        """Wait until so many more have been served."""
        enough = len(self.chats) + number
        await eventually(lambda: len(self.chats) >= enough, timeout=60)


@asynccontextmanager
async def under_load(
    sockets: list[socket.socket], folder: Path, clients: int
) -> AsyncIterator[Load]:
    """Let clients come and go inside; at the end none of them may have failed."""
    host, port = sockets[0].getsockname()
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        load_ = Load(f"http://{host}:{port}", folder / "data", client)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(load_.come_and_go()) for _ in range(clients)]
            yield load_
            for task in tasks:
                task.cancel()
    assert set(load_.statuses) == {HTTPStatus.OK}
    for events in load_.chats:
        assert events[-1] == "[DONE]" and answer_text(events[:-1])


async def upgrade(
    folder: Path,
    openrouter: FakeOpenRouter,
    environ: Mapping[str, str],
    *,
    options: tuple[str, ...] = (),
    clients: int,
    streams: int,
    rest: int,
) -> None:
    """Replace one server by another one, while streams are open and clients come."""
    released = asyncio.Event()
    for _ in range(streams * 2):
        openrouter.script(Reply(content=["lo", "ng"], gates={1: released}))
    environ = {**openrouter_environ(openrouter), **environ}
    async with shared_socket() as sockets, AsyncExitStack() as running:
        old = await running.enter_async_context(
            instance("old", folder, sockets, environ, options=options)
        )
        await old.heard("READY=1")
        await well(old)
        async with under_load(sockets, folder, clients) as load_:
            early = [asyncio.create_task(load_.chat("long")) for _ in range(streams)]
            early += [asyncio.create_task(load_.socket_chat("long")) for _ in range(streams)]
            await openrouter.wait_until(lambda: len(openrouter.completions) >= streams * 2)
            load_.begin()
            await load_.more(rest)
            new = await running.enter_async_context(
                instance("new", folder, sockets, environ, options=options)
            )
            await new.heard("READY=1")
            assert await new.health() == HTTPStatus.OK
            end(old)
            await old.heard("STOPPING=1")
            await load_.more(rest)
            # It is not gone, for the sake of those who came before.
            assert old.process.returncode is None
            assert not any(stream.done() for stream in early)
            released.set()
            for events in await asyncio.gather(*early):
                assert answer_text(events[:-1]) == "long"
                assert events[-1] in ("[DONE]", {"done": True})
            assert await old.ended() == 0
            assert await old.errors() == []
            await load_.more(rest)
    async with ledger_of(folder / "data") as ledger:
        assert await ledger.verify() == []


async def test_an_upgrade_refuses_nobody_and_cuts_nothing(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    await upgrade(tmp_path, openrouter, {}, clients=3, streams=2, rest=10)


@pytest.mark.slow
async def test_an_upgrade_of_workers_under_much_load_does_not_either(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    await upgrade(
        tmp_path,
        openrouter,
        {"REDIS_URL": redis_server.url},
        options=("--workers", "2"),
        clients=16,
        streams=20,
        rest=200,
    )
