"""Everything of this server that reads bytes of strangers, each as one function of bytes.

A target returns whatever it is given, or raises what its caller knows; anything else is a find.
Some compare two ways to the same result, because a wrong one may raise nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import streams, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from chuk.accounts.tokens import TokenRules, TokenVerifier
from chuk.adapters.completion_stream import CompletionStream
from chuk.chat.sse_parser import EventStreamParser, EventTooLarge
from chuk.errors import ChukError
from chuk.media.formats import detect
from chuk.web.bodies import parse_json, read_form
from chuk.web.envelope import Profile, profile_of

Target = Callable[[bytes], None]

_NAMES = ("a", "a.docx", "a.pdf", "a.zip", "a.msg", "a.mp3", "a.heic", "a.txt", "Makefile", ".")
_TYPES = (
    "multipart/form-data; boundary=b",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "",
)
_MOST_BYTES = 100_000


class _Silent(asyncio.Transport):
    """Takes and says nothing."""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        return


class Loop:
    """One event loop for all that has to be awaited."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def stream(self, data: bytes) -> streams.StreamReader:
        protocol = BaseProtocol(self._loop)
        content = streams.StreamReader(protocol, 2**16, loop=self._loop)
        step = data[0] + 1 if data else 1
        for at in range(0, len(data), step):
            content.feed_data(data[at : at + step])
        content.feed_eof()
        return content

    def close(self) -> None:
        self._loop.close()


LOOP = Loop()
_VERIFIER = TokenVerifier(TokenRules("issuer", b"x" * 32), None, log_salt=b"salt")


def event_stream(data: bytes) -> None:
    """Events are the same wherever the reads are cut."""
    whole = _events([data])
    step = data[0] % 7 + 1 if data else 1
    assert _events([data[at : at + step] for at in range(0, len(data), step)]) == whole


def _events(chunks: list[bytes]) -> list[bytes] | None:
    parser = EventStreamParser(max_event_bytes=10_000)
    found: list[bytes] = []
    try:
        for chunk in chunks:
            parser.push(chunk)
            while (event := parser.next_event()) is not None:
                found.append(bytes(event))
    except EventTooLarge:
        # When it is noticed depends on the reads, as it may.
        return None
    return found


def completion(data: bytes) -> None:
    """A completion makes some sense of anything, or fails in words of ours."""
    stream = CompletionStream("model")
    step = data[0] % 50 + 1 if data else 1
    for at in range(1, len(data), step):
        stream.feed(data[at : at + step])
    stream.finish()


def file_format(data: bytes) -> None:
    """Every file has a format or none."""
    if data:
        detect(data[1:], _NAMES[data[0] % len(_NAMES)])


def json_body(data: bytes) -> None:
    """JSON is read within bounds, or refused."""
    _or_ours(lambda: parse_json(data))


def bearer(data: bytes) -> None:
    """A token that we did not sign is refused."""
    token = data.decode("latin-1")
    try:
        LOOP.run(_VERIFIER.verify(token))
    except ChukError:
        return
    raise AssertionError("a token that nobody signed")


def form(data: bytes) -> None:
    """A body of any type is read, or refused."""
    if not data:
        return
    headers = {"Content-Type": _TYPES[data[0] % len(_TYPES)]}
    request = make_mocked_request("POST", "/", headers=headers, payload=LOOP.stream(data[1:]))
    _or_ours(
        lambda: LOOP.run(read_form(request, max_bytes=_MOST_BYTES, timeout=5, files=("images",)))
    )


def accepted(data: bytes) -> None:
    """Any `Accept` header names a profile."""
    request: web.Request = make_mocked_request("GET", "/")
    request.headers.getall("Accept", [])
    headers = {"Accept": data.decode("latin-1").replace("\r", " ").replace("\n", " ")}
    profile_of(make_mocked_request("GET", "/", headers=headers), Profile.ENVELOPE)


def _or_ours(work: Callable[[], object]) -> None:
    try:
        work()
    except ChukError:
        return


TARGETS: dict[str, tuple[Target, list[bytes]]] = {
    "event-stream": (
        event_stream,
        [b"data: a\n\n", b"\xef\xbb\xbfdata:a\r\n\r\n", b": c\ndata: a\rdata: b\r\r", b"data\n\n"],
    ),
    "completion": (
        completion,
        [
            b'xdata: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n\n',
            b'xdata: {"error": {"code": 502, "message": "x"}}\n\n',
            b'xdata: {"choices": [], "usage": {"cost": 0.1, "completion_tokens": 5}}\n\n',
            b'xdata: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\n',
            b'xdata: {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "a"}]}}]}\n\n',
        ],
    ),
    "file-format": (
        file_format,
        [
            b"\1PK\3\4" + b"\0" * 26 + b"mimetypeapplication/epub+zip",
            b"\4\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
            b"\2%PDF-1.7\n",
            b"\5ID3\4\0\0\0\0\0\0",
            b"\6\0\0\0\x18ftypheic",
            b"\7<!doctype html><p>",
        ],
    ),
    "json": (json_body, [b'{"a": [1, {"b": null}], "c": "\\u00e4"}', b"[" * 50 + b"]" * 50]),
    "bearer": (
        bearer,
        [b"eyJhbGciOiJIUzI1NiJ9.e30.AAAA", b"eyJhbGciOlsiSFMyNTYiXX0.e30.", b"chuk_sk_A", b".."],
    ),
    "form": (
        form,
        [
            b'\0--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n',
            b'\0--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\nx\r\n',
            b'\1{"message": "a"}',
            b"\2a=1&b=%C3%A4",
        ],
    ),
    "accept": (accepted, [b"application/json; profile=bare", b"*/*;q=0.1, a/b;profile=envelope"]),
}
"""By name: the target, and what it begins with."""
