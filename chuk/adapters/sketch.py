"""The embedded renderer: a picture from the words and the seed, drawn in a process of its own.

It is no image model and does not claim to be one: `local-sketch` knows some words, picks a
composition and colours by them, and leaves the rest to the seed.
"""

from __future__ import annotations

import base64

from chuk.adapters.children import ChildFailed, ChildRefused, RunOnce
from chuk.errors import GenerationFailed
from chuk.media.pictures import PictureKind
from chuk.media.ports import Commission, Painting

MODEL = "local-sketch"
_TIMEOUT = 60.0
_CPU = 50.0
_MEMORY = 2**30


class Sketch:
    """Draws on this machine; the same prompt, size and seed give the same bytes.

    Args:
        timeout: seconds for one picture.
    """

    model_id = MODEL
    provider_slug = "local"
    is_zdr = True

    def __init__(self, *, run_once: RunOnce, timeout: float = _TIMEOUT) -> None:
        self._run_once = run_once
        self._timeout = timeout

    async def paint(self, commission: Commission) -> Painting:
        """See `Painter.paint`."""
        request = {
            "prompt": commission.prompt,
            "width": commission.width,
            "height": commission.height,
            "seed": commission.seed,
        }
        try:
            answer = await self._run_once(
                "chuk.adapters.sketch_child",
                request,
                timeout=self._timeout,
                memory=_MEMORY,
                cpu=_CPU,
            )
        except (ChildFailed, ChildRefused):
            raise GenerationFailed from None
        return Painting(base64.b64decode(answer["jpeg"]), PictureKind.JPEG, commission.seed)
