"""Two servers on the same books and the same Redis, one of which is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp

from chuk.app import embedded_issuer
from chuk.settings import load
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, openrouter_environ
from tests.processes import ServerProcess, served
from tests.redis_server import RedisServer

_PATIENCE = 60.0
_QUICKLY = {
    "CHUK_CREDITS_HOLD_LEASE": "1",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "0.2",
    "CHUK_REDIS_STREAM_LEASE": "0.6",
    "CHUK_REDIS_LEADER_LEASE": "0.6",
    # Two servers and their tests share the machine.
    "CHUK_REDIS_TIMEOUT": "5",
    "CHUK_LIMIT_CHAT": "100000",
    "CHUK_LIMIT_OTHER": "100000",
    "CHUK_LIMIT_ADDRESS": "100000",
}


@dataclass
class Twins:
    """Both servers, and a client for them.

    Attributes:
        data: the folder with the books of both.
    """

    one: ServerProcess
    other: ServerProcess
    client: aiohttp.ClientSession
    data: Path
    _environ: Mapping[str, str]
    _folder: Path

    def bearer(self, user_id: UUID) -> dict[str, str]:
        """The header that signs a user in to both."""
        issuer = embedded_issuer(load(self._environ, directory=self._folder))
        assert issuer is not None
        return {"Authorization": f"Bearer {issuer.token(user_id)}"}

    @asynccontextmanager
    async def asked(self, user_id: UUID) -> AsyncIterator[Listening]:
        """An answer that the first one gives."""
        body = {"model_id": MODEL, "message": "Hello", "max_tokens": 500}
        async with self.client.post(
            f"{self.one.url}/v1/ai/chat", json=body, headers=self.bearer(user_id)
        ) as answer:
            assert answer.status == 200, await answer.text()
            yield Listening(answer)

    @asynccontextmanager
    async def resumed(self, user_id: UUID, last_id: str) -> AsyncIterator[Listening]:
        """The rest of an answer, from the other one."""
        stream_id = last_id.partition(":")[0]
        headers = {**self.bearer(user_id), "Last-Event-ID": last_id}
        async with self.client.get(
            f"{self.other.url}/v1/ai/chat/streams/{stream_id}", headers=headers
        ) as answer:
            assert answer.status == 200, await answer.text()
            yield Listening(answer)

    async def kill_one(self) -> None:
        """As the kernel's memory killer would."""
        self.one.process.kill()
        await self.one.process.wait()


class Listening:
    """Reads one SSE answer, frame by frame.

    Attributes:
        frames: what has been read so far, each without the blank line after it.
    """

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.frames: list[str] = []
        self._answer = answer
        self._rest = b""

    @property
    def last_id(self) -> str:
        """Of the last event that has one."""
        return [frame[4:].partition("\n")[0] for frame in self.frames if frame[:4] == "id: "][-1]

    @property
    def numbers(self) -> list[int]:
        """Of the events that have one."""
        ids = [frame[4:].partition("\n")[0] for frame in self.frames if frame[:4] == "id: "]
        return [int(each.partition(":")[2]) for each in ids]

    @property
    def is_over(self) -> bool:
        """Whether its turn has told its end."""
        return bool(self.frames) and (
            self.frames[-1] == "data: [DONE]" or '\ndata: {"error":' in self.frames[-1]
        )

    async def until(self, word: str) -> None:
        """Read on until this has come."""
        async with asyncio.timeout(_PATIENCE):
            while not any(word in frame for frame in self.frames):
                assert await self._read(), self.frames

    async def rest(self) -> None:
        """Read on until the connection ends, well or not."""
        async with asyncio.timeout(_PATIENCE):
            try:
                while await self._read():
                    pass
            except aiohttp.ClientError:
                return

    async def _read(self) -> bool:
        chunk = await self._answer.content.readany()
        *whole, self._rest = (self._rest + chunk).split(b"\n\n")
        self.frames += [frame.decode() for frame in whole if not frame.startswith(b":")]
        return bool(chunk)


@asynccontextmanager
async def twins(
    folder: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> AsyncIterator[Twins]:
    """Two servers, ready."""
    environ = {
        **openrouter_environ(openrouter),
        **_QUICKLY,
        "CHUK_DATA_DIR": str(folder / "data"),
        "CHUK_LOG_FORMAT": "json",
        "REDIS_URL": redis_server.url,
    }
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )
        one, other = [await stack.enter_async_context(served(folder, environ)) for _ in range(2)]
        for server in (one, other):
            await server.well(client)
        yield Twins(one, other, client, folder / "data", environ, folder)
