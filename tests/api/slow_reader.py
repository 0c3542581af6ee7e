"""A client that reads only as much as it is told to, with small buffers of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, RunningServer

# A few of the loopback interface's packets: with less, the kernel sends in fits and starts.
_KERNEL_BUFFER = 262_144


class SlowReader:
    """A plain socket that has sent one chat request, or upgraded to a WebSocket."""

    def __init__(self, server: RunningServer, *, upgrade: bool = False) -> None:
        self._server = server
        self._upgrade = upgrade
        self._socket = socket.socket()
        self._socket.setblocking(False)
        # Before connecting, or the kernel has already promised more.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BUFFER)

    async def __aenter__(self) -> Self:
        parts = urlsplit(self._server.url)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, (parts.hostname, parts.port))
        body = json.dumps({"model_id": MODEL, "message": "Hello"}).encode()
        lines = ["Host: test", *(f"{k}: {v}" for k, v in self._server.bearer().items())]
        if self._upgrade:
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
            head, payload = "GET /v1/ai/chat/ws", _masked_text(body)
        else:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
            head, payload = "POST /v1/ai/chat", body
        text = "\r\n".join([f"{head} HTTP/1.1", *lines, "", ""])
        await loop.sock_sendall(self._socket, text.encode() + payload)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    async def read(self, size: int = 65_536) -> bytes:
        """What there is, up to `size` bytes; empty at the end."""
        async with asyncio.timeout(30):
            return await asyncio.get_running_loop().sock_recv(self._socket, size)

    async def send(self, data: bytes) -> None:
        """Send more, as it is."""
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def say(self, document: object) -> None:
        """Send one message over the WebSocket."""
        await self.send(_masked_text(json.dumps(document).encode()))

    async def rest(self) -> bytes:
        """All that is left, up to the end of the connection."""
        data = bytearray()
        try:
            while piece := await self.read():
                data += piece
        except ConnectionResetError:
            pass
        return bytes(data)

    def leave(self) -> None:
        """Close without a word."""
        self._socket.close()


class HeldBack:
    """True once a completion has not gone on for a hundred looks."""

    def __init__(self, openrouter: FakeOpenRouter) -> None:
        self._openrouter = openrouter
        self._sent = self._looks = 0

    def __call__(self) -> bool:
        sent = sum(record.pieces_sent for record in self._openrouter.completions)
        self._looks = self._looks + 1 if sent == self._sent else 0
        self._sent = sent
        return sent > 0 and self._looks >= 100


def text_frames(data: bytes) -> Iterator[str]:
    """The text frames in what a server sent after its upgrade; anything else is a failure."""
    at = data.index(b"\r\n\r\n") + 4
    while at < len(data):
        assert data[at] == 0x81, f"not one whole text frame: {data[at]:x}"
        length, at = data[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, at = int.from_bytes(data[at : at + size]), at + size
        yield data[at : at + length].decode("utf-8")
        at += length


def _masked_text(payload: bytes) -> bytes:
    """One WebSocket text frame from a client, masked with zeros."""
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload)]) + b"\x00" * 4 + payload
