"""Who reads files: processes of this server's own, always."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chuk.adapters.children import RunOnce
from chuk.adapters.file_reader import ChildFileReader
from chuk.app.embedded import ALONE, Embedded
from chuk.app.parts import Part
from chuk.credits.service import Credits
from chuk.media.convert import Conversions
from chuk.media.formats import Format
from chuk.media.jobs import Jobs
from chuk.media.ports import Listener
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class Converting:
    """What the routes, the doctor and the end of the application need of it."""

    conversions: Conversions
    queues: Mapping[str, Jobs]
    part: Part
    close: Callable[[], Awaitable[None]]


def make_conversions(
    settings: Settings,
    credit_service: Credits,
    listener: Listener,
    run_once: RunOnce,
    embedded: Embedded = ALONE,
) -> Converting:
    """The service that reads files; nothing runs yet.

    Args:
        listener: hears the recordings among them.
    """
    media = settings.media
    reader = ChildFileReader(
        timeout=media.convert_timeout, run_once=run_once, make_worker=embedded.make_worker
    )
    jobs = Jobs(media.workers, media.queue)
    conversions = Conversions(
        reader,
        listener,
        jobs,
        credit_service,
        price=media.conversion_price,
        patience=media.convert_timeout,
    )
    using = f"{media.workers} at once, each in a process of its own"
    part = Part("files", using, lambda: _read_one(reader))
    return Converting(conversions, {"conversion": jobs}, part, reader.close)


async def _read_one(reader: ChildFileReader) -> str:
    with tempfile.NamedTemporaryFile(buffering=0) as file:
        file.write(b"<h1>Yes</h1>")
        path = Path(file.name)
        async with reader.read(path, kind=Format.HTML, name="yes.html") as document:
            return f"read a page of {len(document.parts)} part"
