"""Reads request bodies: counted, timed, and with every way to be malformed made one error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, cast
from urllib.parse import parse_qsl

import aiohttp
import orjson
from aiohttp import BodyPartReader, hdrs, web

from chuk.errors import ChukError, FileTooLarge, InvalidRequest, UnsupportedFormat

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
MAX_FIELDS = 100
_MAX_JSON_VALUES = 200_000
SCAN_STEP = 65_536
# Boundaries and part headers, and a short preamble.
_MAX_FORM_LINES = 2_000
# How aiohttp and the standard library say that a body is malformed.
_MALFORMED = (
    ValueError,
    RuntimeError,
    LookupError,
    AssertionError,
    aiohttp.http.HttpProcessingError,
    web.RequestPayloadError,
)


@dataclass(slots=True)
class Form:
    """What a body carried.

    Attributes:
        values: field name to value. From JSON typed, from a form always text.
        files: contents of file parts, in order, by field name.
        is_typed: whether the values came from JSON.
    """

    values: dict[str, Any] = field(default_factory=dict)
    files: dict[str, list[bytes]] = field(default_factory=dict)
    is_typed: bool = True


async def read_form(
    request: web.Request, *, max_bytes: int, timeout: float, files: tuple[str, ...] = ()
) -> Form:
    """Read a JSON, form-encoded or multipart body into fields.

    Args:
        max_bytes: for the whole body, as sent or, where it was compressed, unpacked.
        timeout: seconds for the whole body.
        files: names of the parts that are files; other file parts are read past.

    Raises:
        InvalidRequest: the body is malformed, too slow, or repeats a field of a form.
        FileTooLarge: over `max_bytes`; the rest is not read.
        UnsupportedFormat: neither JSON nor a form.
    """
    async with Reading(request, max_bytes, timeout):
        if request.content_type == MULTIPART:
            return await _multipart(request, max_bytes, files)
        if request.content_type == FORM:
            text = (await _whole(request, max_bytes)).decode("utf-8")
            pairs = parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
            )
            form = Form(is_typed=False)
            for name, value in pairs:
                _put(form, name, value)
            return form
        # A client that names no type at all is taken to send JSON.
        if request.content_type == JSON or hdrs.CONTENT_TYPE not in request.headers:
            return Form(values=parse_json_object(await _whole(request, max_bytes)))
        raise UnsupportedFormat(request.content_type, (JSON, MULTIPART, FORM))


async def read_body(request: web.Request, *, max_bytes: int, timeout: float) -> bytes:
    """Read a body as the bytes that were sent.

    Args:
        max_bytes: for the whole body.
        timeout: seconds for the whole body.

    Raises:
        InvalidRequest: the body is malformed or too slow.
        FileTooLarge: over `max_bytes`; the rest is not read.
    """
    async with Reading(request, max_bytes, timeout):
        return await _whole(request, max_bytes)


async def read_empty_body(request: web.Request, *, max_bytes: int, timeout: float) -> None:
    """Read a body that says nothing: empty, or any JSON object, whose fields are ignored.

    Raises:
        InvalidRequest: there is a body and it is no JSON object.
        FileTooLarge: over `max_bytes`.
    """
    raw = await read_body(request, max_bytes=max_bytes, timeout=timeout)
    if raw.strip():
        parse_json_object(raw)


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """Parse one JSON object, within bounds of depth and count.

    Raises:
        InvalidRequest: not JSON, not an object, too deep, NaN, or too many values.
    """
    document = parse_json(raw)
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return document


def parse_json(raw: bytes) -> Any:
    """Parse any JSON, within bounds of depth and count.

    Parsing holds the event loop, and a body of nothing but brackets makes objects many times its
    size: the structure is counted first, which costs a fraction of parsing it.

    Raises:
        InvalidRequest: not JSON, too deep, NaN, or too many values.
    """
    values = 0
    for start in range(0, len(raw), SCAN_STEP):
        step = raw[start : start + SCAN_STEP]
        values += step.count(b",") + step.count(b"[") + step.count(b"{")
        if values > _MAX_JSON_VALUES:
            raise InvalidRequest("The JSON has too many values.")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidRequest("The body is not valid JSON.") from None


class Reading:
    """Bounds of size and time around reading a body, and one error for all that is malformed.

    Nearly every body is here already: then there is no timer, which costs more than the reading,
    and so would a generator in place of this class.

    Args:
        max_bytes: for the whole body, as it announces itself.
        timeout: seconds for what is not here yet.
    """

    __slots__ = ("_max_bytes", "_request", "_timeout", "_timer")

    def __init__(self, request: web.Request, max_bytes: int, timeout: float) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._timer: asyncio.Timeout | None = None

    async def __aenter__(self) -> None:
        request = self._request
        size = request.content_length
        if size is not None and size > self._max_bytes:
            raise FileTooLarge(self._max_bytes, size)
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport:
            # Only now: a body that would be refused is never asked for (RFC 9110 §10.1.1).
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not request.content.is_eof():
            self._timer = asyncio.timeout(self._timeout)
            await self._timer.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            try:
                await self._timer.__aexit__(kind, error, trace)
            except TimeoutError as timed_out:
                error = timed_out
        if isinstance(error, TimeoutError):
            raise InvalidRequest("The body took too long to arrive.") from None
        if isinstance(error, _MALFORMED) and not isinstance(error, ChukError):
            raise InvalidRequest("The body is malformed.") from None


async def _whole(request: web.Request, max_bytes: int) -> bytes:
    """The body, counted while it arrives: `Content-Length` may be absent, or of packed bytes."""
    chunks: list[bytes] = []
    size = 0
    while chunk := await request.content.readany():
        size += len(chunk)
        if size > max_bytes:
            raise FileTooLarge(max_bytes)
        chunks.append(chunk)
        if size > SCAN_STEP:
            # Unpacking a packed body waits for nothing: give way to others.
            await asyncio.sleep(0)
    return b"".join(chunks)


class Counted:
    """A body as a multipart reader reads it, with all that stands between the parts counted too.

    aiohttp reads past a preamble line by line, without bounds and, where the body was packed,
    without ever giving way to other requests.
    """

    def __init__(self, content: aiohttp.StreamReader, max_bytes: int) -> None:
        self._content = content
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lines = 0

    async def read(self, n: int = -1) -> bytes:
        data = self._count(await self._content.read(n))
        if self._bytes > SCAN_STEP:
            await asyncio.sleep(0)
        return data

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        self._lines += 1
        if self._lines > _MAX_FORM_LINES:
            raise InvalidRequest("The form is malformed.")
        return self._count(await self._content.readline(max_line_length=max_line_length))

    def unread_data(self, data: bytes) -> None:
        self._bytes -= len(data)
        self._content.unread_data(data)

    def at_eof(self) -> bool:
        return self._content.at_eof()

    def _count(self, data: bytes) -> bytes:
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        return data


async def _multipart(request: web.Request, max_bytes: int, files: tuple[str, ...]) -> Form:
    form = Form(is_typed=False)
    content = cast(aiohttp.StreamReader, Counted(request.content, max_bytes))
    parts = 0
    async for part in aiohttp.MultipartReader(request.headers, content):
        parts += 1
        if not isinstance(part, BodyPartReader) or part.name is None or parts > MAX_FIELDS:
            raise InvalidRequest("The form is malformed.")
        # Bytes that are not UTF-8 came as lone surrogates, which no answer could name.
        part.name.encode()
        value = bytearray()
        while chunk := await part.read_chunk(SCAN_STEP):
            value += chunk
        if part.name in files:
            form.files.setdefault(part.name, []).append(bytes(value))
        elif part.filename is None:
            _put(form, part.name, value.decode("utf-8"))
    return form


def _put(form: Form, name: str, value: str) -> None:
    if name in form.values:
        raise InvalidRequest.field(name, "Given more than once.")
    form.values[name] = value
