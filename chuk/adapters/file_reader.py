"""Reads files in child processes: one for each file, and a warm one for letters in pictures."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chuk.adapters.children import ChildFailed, ChildRefused, ChildTimeout, WarmWorker, run_once
from chuk.adapters.embedded.ports import MakeWorker
from chuk.errors import ChukError, ConversionFailed, CorruptFile, UnsupportedFormat
from chuk.media.formats import Format
from chuk.media.ports import Document, Sound

_READING = "chuk.media.reading"
_LETTERS = "chuk.media.reading.letters"
_READING_MEMORY = 2**30
_LETTERS_MEMORY = 2 * 2**30
_LETTERS_IDLE = 300.0
_NOT_READ = "*There was no time to read the letters in this picture.*"


class ChildFileReader:
    """Reads each file in a process that lives no longer than that.

    Pictures of pages come back from it as files, and their letters are read by a process that has
    the models for it loaded.

    Args:
        timeout: seconds for one file, pictures included; what is not read by then is left out,
            and said to be.
        make_worker: makes the process that reads letters.
    """

    def __init__(self, *, timeout: float, make_worker: MakeWorker = WarmWorker) -> None:
        self._timeout = timeout
        self._letters = make_worker(_LETTERS, memory=_LETTERS_MEMORY, idle=_LETTERS_IDLE)

    async def close(self) -> None:
        """End the process that reads letters."""
        await self._letters.close()

    @asynccontextmanager
    async def read(self, path: Path, *, kind: Format, name: str) -> AsyncIterator[Document]:
        """Read one file; see `chuk.media.ports.FileReader`."""
        until = asyncio.get_running_loop().time() + self._timeout
        folder = Path(tempfile.mkdtemp(prefix="chuk-file-"))
        try:
            request = {
                "path": str(path),
                "format": kind.value,
                "name": name,
                "folder": str(folder),
            }
            try:
                answer = await run_once(
                    _READING,
                    request,
                    timeout=self._timeout,
                    memory=_READING_MEMORY,
                    cpu=self._timeout,
                )
            except ChildRefused as refused:
                raise _error_of(refused) from None
            except ChildFailed:
                raise ConversionFailed from None
            yield await self._document(answer, folder, until)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _document(self, answer: dict[str, Any], folder: Path, until: float) -> Document:
        parts: list[str | Sound] = []
        is_whole, has_read = True, False
        for part in answer["parts"]:
            if "picture" in part:
                text = await self._read_letters(folder / part["picture"], until)
                is_whole = is_whole and text is not None
                has_read = has_read or text is not None
                parts.append(_NOT_READ if text is None else text)
            elif "sound" in part:
                parts.append(Sound(folder / part["sound"], Format(part["format"])))
            else:
                has_read = has_read or bool(part["text"].strip())
                parts.append(part["text"])
        if not is_whole and not has_read:
            raise ConversionFailed
        return Document(
            parts=tuple(parts),
            title=answer["title"],
            pages=answer["pages"],
            is_truncated=answer["truncated"] or not is_whole,
        )

    async def _read_letters(self, picture: Path, until: float) -> str | None:
        """The text in a picture; None: there was no time for it."""
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            return None
        try:
            # The worker's own patience begins with its turn; this one counts the wait for it too.
            async with asyncio.timeout_at(until):
                answer = await self._letters.ask({"path": str(picture)}, timeout=left)
        except (TimeoutError, ChildTimeout):
            return None
        except ChildRefused as refused:
            raise _error_of(refused) from None
        except ChildFailed:
            raise ConversionFailed from None
        text: str = answer["text"]
        return text


def _error_of(refused: ChildRefused) -> ChukError:
    """What a child said of its input, as the error it raised."""
    if refused.code == CorruptFile.code:
        return CorruptFile(refused.message)
    if refused.code == UnsupportedFormat.code:
        return UnsupportedFormat(refused.details["format"], refused.details["supported"])
    return ConversionFailed()
