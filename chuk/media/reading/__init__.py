"""What runs in a short-lived child process: a file of any format becomes Markdown.

`chuk.media.reading` is a module for `chuk.adapters.child`, one process for each file. Nothing here
opens a connection, starts a process or follows what a document names.

The request: `path` (the file), `format` (a value of `chuk.media.formats.Format`), `name` (what
its owner calls it), `folder` (an empty folder that this child may fill) and, optionally,
`limits` (see `chuk.media.reading.budget.Budget`).

The answer: `title`, `pages` (null when unknown), `truncated`, and `parts`, a list in reading
order of
    {"text": Markdown}
    {"picture": name of a file in the folder}       letters to be read by the warm worker
    {"sound": name of a file in the folder, "format": a format of sound}   to be transcribed
Parts are joined by an empty line. The child itself neither reads letters in pictures nor hears:
both need models that are slow to load, so a warm worker of the parent's does it.

`chuk.media.reading.letters` is that worker for pictures.

A module for each family of formats has `read(source, desk)`; it is imported only when a file
needs it, and so are the libraries.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chuk.errors import CorruptFile
from chuk.media.formats import Format
from chuk.media.reading.budget import Budget
from chuk.media.reading.desk import Desk
from chuk.media.reading.source import Source


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Read one file.

    Raises:
        CorruptFile: it is damaged, encrypted, empty, or would need more memory than a file gets.
        UnsupportedFormat: what would read it is not installed.
    """
    desk = Desk(Path(request["folder"]), Budget(**request.get("limits", {})))
    source = Source(Path(request["path"]).read_bytes(), Format(request["format"]), request["name"])
    try:
        reading = desk.read(source)
    except MemoryError:
        raise CorruptFile("This file unpacks to more than can be read.") from None
    return {
        "title": reading.title,
        "pages": reading.pages,
        "truncated": reading.is_truncated or desk.budget.has_left_out,
        "parts": [part.as_json() for part in reading.parts],
    }
