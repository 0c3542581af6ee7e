"""Decodes recordings, each in a process that lives no longer than that."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chuk.adapters.children import ChildFailed, ChildRefused, RunOnce
from chuk.errors import CorruptFile, TranscriptionFailed
from chuk.media.formats import Format
from chuk.media.ports import Sound
from chuk.media.recording import Recording

_MODULE = "chuk.adapters.sound_child"
_MEMORY = 2**30


class ChildSoundDecoder:
    """Decodes what somebody sent where nothing else is.

    Args:
        kept: formats that the recogniser reads itself; they are decoded to be measured only.
        written: what the others become: `FLAC`, or None for samples alone.
        most_seconds: a recording may be as long, and any part of a second longer.
        timeout: seconds for one recording.
    """

    def __init__(
        self,
        *,
        run_once: RunOnce,
        kept: frozenset[Format],
        written: Format | None,
        most_seconds: int,
        timeout: float,
    ) -> None:
        self._run_once = run_once
        self._kept = kept
        self._written = written
        self._most_seconds = most_seconds
        self._timeout = timeout

    @asynccontextmanager
    async def decoded(self, sound: Sound) -> AsyncIterator[Recording]:
        """See `chuk.media.ports.SoundDecoder.decoded`."""
        if sound.format in self._kept:
            yield await self._measured(sound, sound.path, sound.format, None)
            return
        with tempfile.NamedTemporaryFile(prefix="chuk-sound-") as file:
            path = Path(file.name)
            yield await self._measured(sound, path, self._written, path)

    async def _measured(
        self, sound: Sound, path: Path, known: Format | None, to: Path | None
    ) -> Recording:
        request = {
            "path": str(sound.path),
            "format": sound.format.value,
            "most_seconds": self._most_seconds,
            "to": None if to is None else str(to),
            "container": None if known is None else known.value,
        }
        try:
            answer = await self._run_once(
                _MODULE, request, timeout=self._timeout, memory=_MEMORY, cpu=self._timeout
            )
        except ChildRefused as refused:
            raise CorruptFile(refused.message) from None
        except ChildFailed:
            raise TranscriptionFailed from None
        return Recording(path, known, answer["seconds"], answer["is_silent"])
