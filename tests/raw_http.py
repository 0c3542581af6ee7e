"""HTTP by hand, for what a proper client would never send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_PATIENCE = 10.0


@dataclass
class RawAnswer:
    """One response as it stood on the wire; header names in lower case, values in order."""

    status: int
    headers: dict[str, list[str]]
    body: bytes

    def header(self, name: str) -> str:
        """The one value of a header."""
        (value,) = self.headers[name.lower()]
        return value

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class RawConnection:
    """One connection to a server, written and read as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write; a server that has stopped listening is no error here."""
        with suppress(ConnectionError):
            self._writer.write(data)
            async with asyncio.timeout(_PATIENCE):
                await self._writer.drain()

    async def answer(self, *, has_body: bool = True) -> RawAnswer:
        """Read one response; an interim one (100) counts as one without a body."""
        async with asyncio.timeout(_PATIENCE):
            head = await self._reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            headers: dict[str, list[str]] = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers.setdefault(name.strip().lower(), []).append(value.strip())
            status = int(status_line.split(" ")[1])
            body = b""
            if has_body and status not in (100, 204, 304):
                body = await self._body(headers)
            return RawAnswer(status, headers, body)

    async def is_closed_by_server(self) -> bool:
        """Wait for the end of the connection; False when something else arrives first."""
        async with asyncio.timeout(_PATIENCE):
            try:
                return await self._reader.read(1) == b""
            except ConnectionError:
                return True

    def send_eof(self) -> None:
        """End our half of the connection."""
        self._writer.write_eof()

    async def close(self) -> None:
        """Close both halves."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _body(self, headers: dict[str, list[str]]) -> bytes:
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"][0]))
        if headers.get("transfer-encoding") != ["chunked"]:
            return await self._reader.read()
        body = b""
        while size := int(await self._reader.readline(), 16):
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        await self._reader.readline()
        return body


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[RawConnection]:
    """A connection to the server at `url`."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)
    connection = RawConnection(reader, writer)
    try:
        yield connection
    finally:
        await connection.close()


def request_bytes(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> bytes:
    """A request head and body, exactly as given; only `Host` is added."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
