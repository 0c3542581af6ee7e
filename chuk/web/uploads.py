"""The one way in for files: a part of a form, streamed to a temporary file and counted."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, cast

import aiohttp
from aiohttp import BodyPartReader, web

from chuk.errors import CorruptFile, FileTooLarge, InvalidRequest
from chuk.web.bodies import MAX_FIELDS, MULTIPART, SCAN_STEP, Counted, Reading

ROOM_FOR_THE_FORM = 65_536
"""Bytes that a body may have besides its file: the other fields, and what stands between parts."""

_WRITTEN_AT_ONCE = 2**20
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came in whole.

    Attributes:
        path: a temporary file, there while the block of `read_upload` runs.
        size: bytes; at least one.
        name: what its owner calls it, without folders; empty if that was not said. It decides
            nothing but what a content of several meanings is taken for.
        fields: the form's other parts.
    """

    path: Path
    size: int
    name: str
    fields: dict[str, str]

    @contextmanager
    def lasting(self) -> Iterator[Path]:
        """The file under another name, for work that may outlast the block of `read_upload`."""
        other = self.path.with_name(f"{self.path.name}-{token_hex(8)}")
        other.hardlink_to(self.path)
        try:
            yield other
        finally:
            other.unlink()


@asynccontextmanager
async def read_upload(
    request: web.Request, *, part: str, max_bytes: int, timeout: float
) -> AsyncIterator[Upload]:
    """Read a form with one file; the file is gone when the block ends, however it ends.

    The part's content type is ignored. Other parts that are files are read past.

    Args:
        part: the name of the file's part.
        max_bytes: for the file; the body may be a little larger.
        timeout: seconds for the whole body.

    Raises:
        InvalidRequest: there is no such part, or two, or the body is malformed or too slow.
        FileTooLarge: over `max_bytes`; the rest is not read.
        CorruptFile: the file has no bytes.
    """
    if request.content_type != MULTIPART:
        raise InvalidRequest.field(part, f"Send the file as a part of {MULTIPART}.")
    with tempfile.NamedTemporaryFile(prefix="chuk-upload-", buffering=0) as file:
        # Nothing holds the whole of it: what was read goes on to the file before more is read.
        spool = _Spool(cast(BinaryIO, file), max_bytes)
        size = request.content_length
        if size is not None and size > max_bytes + ROOM_FOR_THE_FORM:
            raise FileTooLarge(max_bytes, size)
        async with Reading(request, max_bytes + ROOM_FOR_THE_FORM, timeout):
            name, fields = await _parts(request, part, spool)
        if name is None:
            raise InvalidRequest.field(part, "Missing.")
        if not spool.size:
            raise CorruptFile("This file is empty.")
        yield Upload(Path(file.name), spool.size, name, fields)


class _Spool:
    """Writes to a file in large steps, outside the event loop, which a slow disk must not hold."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self.size = 0
        self._file = file
        self.max_bytes = max_bytes
        self._pending = bytearray()

    async def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > self.max_bytes:
            raise FileTooLarge(self.max_bytes)
        self._pending += data
        if len(self._pending) >= _WRITTEN_AT_ONCE:
            await self.flush()

    async def flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        await asyncio.to_thread(self._write, memoryview(pending))

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[self._file.write(data) :]


async def _parts(
    request: web.Request, part_name: str, spool: _Spool
) -> tuple[str | None, dict[str, str]]:
    """Read all parts: the name of the file, None if there was none, and the other fields."""
    content = cast(
        aiohttp.StreamReader, Counted(request.content, spool.max_bytes + ROOM_FOR_THE_FORM)
    )
    file_name: str | None = None
    fields: dict[str, str] = {}
    others = parts = 0
    async for part in aiohttp.MultipartReader(request.headers, content):
        parts += 1
        if not isinstance(part, BodyPartReader) or part.name is None or parts > MAX_FIELDS:
            raise InvalidRequest("The form is malformed.")
        # Bytes that are not UTF-8 came as lone surrogates, which no answer could name.
        part.name.encode()
        if part.name == part_name:
            if file_name is not None:
                raise InvalidRequest.field(part_name, "Given more than once.")
            file_name = _plain(part.filename or "")
            while chunk := await part.read_chunk(SCAN_STEP):
                await spool.write(chunk)
            await spool.flush()
            continue
        value = bytearray()
        while chunk := await part.read_chunk(SCAN_STEP):
            others += len(chunk)
            if others > ROOM_FOR_THE_FORM:
                raise InvalidRequest("The form has too much besides its file.")
            value += chunk
        if part.filename is not None:
            continue
        if part.name in fields:
            raise InvalidRequest.field(part.name, "Given more than once.")
        fields[part.name] = value.decode("utf-8")
    return file_name, fields


def _plain(name: str) -> str:
    """A file's own name: no folders, nothing that could not be written down, not too long."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return last.encode("utf-8", "replace").decode("utf-8").replace("\0", "")[-_LONGEST_NAME:]
