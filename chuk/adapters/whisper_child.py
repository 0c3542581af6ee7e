"""The embedded recogniser itself: Whisper, run as `chuk.adapters.child` says.

A request has `model` (its folder), `path` (of 16-bit mono samples at 16 kHz), `prompt` and
`temperature`. The answer has `segments`: start and end in seconds, and the text.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

_RATE = 16_000
# Longer ones are cut at pauses and heard several parts at once, with the first best words, which
# takes less time. In a short one all that is said may be one sentence.
_SHORT = 60 * _RATE
# More at once take more memory and no less time.
_PARTS_AT_ONCE = 4
_BEAMS = 5
_MOST_THREADS = 4
# Tried one after the other while the words make no sense.
_TEMPERATURES = (0.0, 0.4, 0.8)
_models: dict[str, Any] = {}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Write down what is said; silence and noise are left out before anybody listens."""
    numpy = importlib.import_module("numpy")
    samples = numpy.fromfile(request["path"], numpy.int16)
    sound = samples.astype(numpy.float32) / 32_768
    temperature = request["temperature"]
    options = {
        "language": "en",
        "initial_prompt": request["prompt"] or None,
        "vad_filter": True,
        # Else it may repeat itself to the end, once it has begun to.
        "condition_on_previous_text": False,
    }
    model = _model(request["model"])
    if len(sound) <= _SHORT:
        temperatures = (temperature,) if temperature else _TEMPERATURES
        found, _ = model.transcribe(sound, beam_size=_BEAMS, temperature=temperatures, **options)
    else:
        batched = importlib.import_module("faster_whisper").BatchedInferencePipeline(model)
        found, _ = batched.transcribe(
            sound,
            batch_size=_PARTS_AT_ONCE,
            beam_size=1,
            temperature=temperature,
            without_timestamps=False,
            **options,
        )
    heard = ((float(part.start), float(part.end), part.text.strip()) for part in found)
    return {"segments": [part for part in heard if part[2]]}


def _model(folder: str) -> Any:
    """Whisper with this model, loaded once."""
    if folder not in _models:
        _models[folder] = importlib.import_module("faster_whisper").WhisperModel(
            folder, device="cpu", compute_type="int8", cpu_threads=_threads(), local_files_only=True
        )
    return _models[folder]


def _threads() -> int:
    """All cores, as far as more of them help. Others come first: the process is a nice one."""
    if hasattr(os, "sched_getaffinity"):
        return min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    return min(_MOST_THREADS, os.cpu_count() or 1)
