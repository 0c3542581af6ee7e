"""Who draws: fal, or the embedded renderer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import aiohttp

from chuk.adapters.children import RunOnce
from chuk.adapters.fal import Fal
from chuk.adapters.sketch import MODEL, Sketch
from chuk.app.parts import Part
from chuk.credits.service import Credits
from chuk.media.draw import SHORTEST_SIDE, Drawing
from chuk.media.jobs import Jobs
from chuk.media.pictures import PictureCopies, Pictures
from chuk.media.ports import Commission
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class Atelier:
    """What the routes, the doctor and the end of the application need of it.

    `close` ends what is still under way; the pictures are started and closed by themselves.
    """

    drawing: Drawing
    pictures: Pictures
    queues: Mapping[str, Jobs]
    part: Part
    close: Callable[[], Awaitable[None]]


def make_drawing(
    settings: Settings,
    session: aiohttp.ClientSession,
    credit_service: Credits,
    copies: PictureCopies | None,
    run_once: RunOnce,
) -> Atelier:
    """The painter that the settings name, and the folder of what it makes; nothing runs yet."""
    media, fal = settings.media, settings.fal
    pictures = Pictures(settings.server.data_dir / "pictures", keep=media.image_keep, copies=copies)
    if fal.key:
        painter = Fal(
            session,
            key=fal.key,
            queue_url=fal.queue_url,
            model=fal.model,
            start_within=media.image_timeout,
            run_once=run_once,
        )
        drawing = Drawing(
            painter,
            pictures,
            credit_service,
            price=media.image_price,
            timeout=media.image_timeout,
        )
        part = Part("images", f"fal at {fal.queue_url}", _unasked)
        return Atelier(drawing, pictures, {}, part, painter.close)
    sketch = Sketch(run_once=run_once)
    # A sketch takes a second of one core; the others are for those who wait for something else.
    jobs = Jobs(1, media.queue)
    drawing = Drawing(
        sketch, pictures, credit_service, price=Decimal(0), timeout=media.image_timeout, slots=jobs
    )

    async def drawn() -> str:
        painting = await sketch.paint(Commission("a hill", SHORTEST_SIDE, SHORTEST_SIDE, 1))
        return f"drew a picture of {len(painting.data)} bytes"

    part = Part("images", f"embedded {MODEL}", drawn)
    return Atelier(drawing, pictures, {"drawing": jobs}, part, _nothing)


async def _unasked() -> str:
    """Only a picture would tell more, and that costs money."""
    return "not asked: a picture costs money"


async def _nothing() -> None:
    """There is nothing to end."""
