"""Files read as the server reads them, and without a process around it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from chuk.media.formats import Format, detect, detect_file
from chuk.media.reading import answer
from tests.forks import run_once

KEPT = Path(__file__).parent / "files/kept"


def reading(data: bytes, name: str, **limits: int) -> dict[str, Any]:
    """What the child would answer, read right here; pictures and sounds are thrown away."""
    found = detect(data, name)
    assert found is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "upload")
        path.write_bytes(data)
        kept = Path(folder, "kept")
        kept.mkdir()
        return answer(
            {
                "path": str(path),
                "format": found,
                "name": name,
                "folder": str(kept),
                "limits": limits,
            }
        )


def markdown(data: bytes | str, name: str, **limits: int) -> str:
    """The Markdown of all that needs no worker."""
    raw = data.encode() if isinstance(data, str) else data
    return "\n\n".join(part.get("text", "") for part in reading(raw, name, **limits)["parts"])


def kept(name: str) -> str:
    """The Markdown of a kept file."""
    return markdown((KEPT / name).read_bytes(), name)


async def in_a_child(path: Path, folder: Path, name: str | None = None) -> dict[str, Any]:
    """What a real child answers, within the memory that the server gives it."""
    name = name or path.name
    request = {
        "path": str(path),
        "format": detect_file(path, name) or Format.TEXT,
        "name": name,
        "folder": str(folder),
    }
    return await run_once("chuk.media.reading", request, timeout=60, memory=2**30, cpu=60)
