"""How these tests send bodies, and what must hold after each of them."""

from __future__ import annotations

import functools
import zlib
from typing import Any

from tests.harness import MODEL, RunningServer, answer_text
from tests.raw_http import RawAnswer, RawConnection, raw_connection, request_bytes

PATH = "/v1/ai/chat"
FORM_DATA = "multipart/form-data; boundary=b"
GOOD = {"model_id": MODEL, "message": "Hello"}
MAX = 100_000
"""What the server `small` takes, in bytes."""


def error_code(answer: RawAnswer) -> str:
    """The code of an error in the envelope."""
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"error"}
    code: str = body["error"]["code"]
    return code


def head(server: RunningServer, content_type: str = "application/json", **more: str) -> bytes:
    """The head of a chat request; underscores in names stand for dashes."""
    headers = {**server.bearer(), "Content-Type": content_type}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return request_bytes("POST", PATH, headers)


def chunked(*pieces: bytes) -> bytes:
    """A body of which nobody knows the length beforehand."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def lives_on(server: RunningServer, connection: RawConnection | None = None) -> None:
    """The server still chats; so does this connection, where one is given."""
    if connection is not None:
        await connection.send(request_bytes("GET", "/health"))
        assert (await connection.answer()).status == 200
    assert answer_text(await server.chat("Hello"))


async def post(
    server: RunningServer, body: bytes, content_type: str | None = "application/json"
) -> tuple[int, dict[str, Any]]:
    """Status and error of a body that should not be taken; the connection must survive it."""
    headers = server.bearer()
    if content_type is not None:
        headers["Content-Type"] = content_type
    async with raw_connection(server.url) as connection:
        headers["Content-Length"] = str(len(body))
        await connection.send(request_bytes("POST", PATH, headers, body))
        answer = await connection.answer()
        error_code(answer)
        await lives_on(server, connection)
    error: dict[str, Any] = answer.json()["error"]
    return answer.status, error


def part(headers: bytes, content: bytes) -> bytes:
    """One part of a multipart form."""
    return b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def field(name: bytes, content: bytes) -> bytes:
    """One text field of a multipart form."""
    return part(b'Content-Disposition: form-data; name="' + name + b'"', content)


@functools.cache
def bomb(line: bytes, size: int) -> bytes:
    """A line again and again, `size` bytes of it, packed to a thousandth."""
    packer = zlib.compressobj(wbits=31)
    block = line * (1_000_000 // len(line))
    packed = [packer.compress(block) for _ in range(size // len(block))]
    return b"".join(packed) + packer.flush()
