"""The process that decodes a provider's picture; started by `chuk.adapters.refit`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from chuk.errors import CorruptFile

_QUALITIES = (92, 85, 75, 60, 40)
_MOST_PIXELS = 2**25


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Write the picture at `given` as a JPEG to `made`: `width` x `height`, `max_bytes` at most.

    Raises:
        CorruptFile: it cannot be decoded.
    """
    size = (request["width"], request["height"])
    try:
        picture = _opened(Path(request["given"]))
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        raise CorruptFile from None
    if picture.size != size:
        picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    made = Path(request["made"])
    for quality in _QUALITIES:
        picture.save(made, "JPEG", quality=quality, optimize=True)
        if made.stat().st_size <= request["max_bytes"]:
            break
    return {}


def _opened(path: Path) -> Image.Image:
    """The first frame, upright, on white where it is transparent."""
    Image.MAX_IMAGE_PIXELS = _MOST_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")
