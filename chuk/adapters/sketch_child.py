"""The process that draws; started by `chuk.adapters.sketch`."""

from __future__ import annotations

import base64
import io
from typing import Any

from chuk.adapters.sketching.picture import draw
from chuk.media.pictures import MAX_BYTES

# The first is good; the others are for what grain makes too large.
_QUALITIES = (90, 80, 65, 40)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Draw `prompt` by `seed` in `width` x `height` pixels: `{"jpeg": base64}`."""
    picture = draw(request["prompt"], request["seed"], request["width"], request["height"])
    written = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        written = file.getvalue()
        if len(written) <= MAX_BYTES:
            break
    return {"jpeg": base64.b64encode(written).decode()}
