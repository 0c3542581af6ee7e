"""The warm worker that reads the letters in pictures.

A module for `chuk.adapters.child`. The request: `path`, a picture that `chuk.media.reading` kept.
The answer: `text`, empty where there are no letters.

RapidOCR reads Latin and Chinese letters and Japanese; what it sees but does not know of Cyrillic,
Greek and Korean is read by tesseract, where that is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

from chuk.errors import UnsupportedFormat
from chuk.media.formats import IMAGES, Format
from chuk.media.reading.layout import Box, in_reading_order

_LONGEST_SIDE = 2_400
_MOST_THREADS = 4
# A letter is about half as wide as its line is high; of fewer the rest was not read.
_LETTERS_OF_SQUARE = 0.8
_UNSURE = 0.75
_OTHER_SCRIPTS = frozenset({"rus", "ukr", "bul", "ell", "kor"})
_PATIENCE = 30.0

_engine: Any = None


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Read one picture.

    Raises:
        UnsupportedFormat: what reads letters is not installed.
    """
    path = request["path"]
    result = _loaded()(path)
    found = [] if result.boxes is None else list(zip(result.boxes, result.txts, strict=True))
    boxes = [_box(corners.tolist(), text) for corners, text in found]
    text = in_reading_order(boxes)
    scores = [] if result.scores is None else list(result.scores)
    if any(_is_doubtful(box, score) for box, score in zip(boxes, scores, strict=True)):
        other = _by_tesseract(path)
        if _letters(other) > _letters(text):
            text = other
    return {"text": text}


def _loaded() -> Any:
    global _engine  # noqa: PLW0603
    if _engine is None:
        try:
            import rapidocr  # noqa: PLC0415
        except ImportError:
            supported = [known.value for known in Format if known not in IMAGES]
            raise UnsupportedFormat("picture", supported) from None
        _engine = rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.max_side_len": _LONGEST_SIDE,
                "EngineConfig.onnxruntime.intra_op_num_threads": min(
                    os.cpu_count() or 1, _MOST_THREADS
                ),
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
    return _engine


def _box(corners: list[list[float]], text: str) -> Box:
    across, down = [x for x, _ in corners], [y for _, y in corners]
    return Box(min(across), min(down), max(across), max(down), text)


def _is_doubtful(box: Box, score: float) -> bool:
    """Whether there stands more than was read, in letters that the models do not know."""
    width = box.right - box.left
    return score < _UNSURE or (
        width > 3 * box.height and _letters(box.text) < _LETTERS_OF_SQUARE * width / box.height
    )


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _by_tesseract(path: str) -> str:
    """What tesseract reads; empty where it, or its languages, are not there."""
    program = shutil.which("tesseract")
    if program is None:
        return ""
    known = _run(program, "--list-langs").split()
    languages = [language for language in known if language in _OTHER_SCRIPTS]
    if not languages:
        return ""
    if "eng" in known:
        languages.append("eng")
    lines = _run(program, path, "stdout", "-l", "+".join(languages)).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip()


def _run(*command: str) -> str:
    # In this session, so that it is ended with this process.
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and only a path of our own making
            command, capture_output=True, timeout=_PATIENCE, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""
