"""Clients that come all the time, as a busy server has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from chuk.app import embedded_issuer
from chuk.settings import load
from tests.harness import MODEL, answer_text, eventually, sse_events


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
async def under_load(url: str, data: Path, clients: int) -> AsyncIterator[Load]:
    """Let clients come and go inside, once they may; at the end none of them may have failed."""
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        load_ = Load(url, data, client)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(load_.come_and_go()) for _ in range(clients)]
            yield load_
            for task in tasks:
                task.cancel()
    assert set(load_.statuses) == {HTTPStatus.OK}
    for events in load_.chats:
        assert events[-1] == "[DONE]" and answer_text(events[:-1])
