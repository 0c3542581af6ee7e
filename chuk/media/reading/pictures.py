"""Pictures: turned upright, made opaque, and kept for the worker that reads letters."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import cast

from PIL import Image, ImageOps, UnidentifiedImageError

from chuk.errors import CorruptFile, UnsupportedFormat
from chuk.media.formats import Format
from chuk.media.reading.desk import Desk
from chuk.media.reading.source import Part, Reading, Source, Text

# Pillow knows many more, some of them little tried. Phones make JPEGs of several pictures, MPO.
_DECODERS = {
    Format.JPG: ("JPEG", "MPO"),
    Format.PNG: ("PNG",),
    Format.GIF: ("GIF",),
    Format.BMP: ("BMP", "DIB"),
    Format.WEBP: ("WEBP",),
    Format.TIFF: ("TIFF",),
    Format.HEIC: ("HEIF",),
}
_LONGEST_SIDE = 4_000
# A long picture of a screen is read in pieces: as a whole its letters would be made too small.
_PIECE, _LONG = 2_400, 1.7
_LOOK_BACK = 160
_NEARLY_ONE_COLOUR = 24
# Pixels; no letter is lower.
_SMALLEST = 5


def read(source: Source, desk: Desk) -> Reading:
    """Every page of a TIFF, the first picture of all others."""
    if source.format is Format.HEIC:
        _learn_heic()
    parts: list[Part] = []
    reading = Reading(parts)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # What is wrong with metadata is not worth a word.
            warnings.simplefilter("ignore", UserWarning)
            with Image.open(io.BytesIO(source.data), formats=_DECODERS[source.format]) as image:
                for frame in _frames(image, source.format, reading):
                    if min(frame.size) < _SMALLEST:
                        continue
                    for piece in _pieces(frame):
                        if not desk.budget.take_picture():
                            parts.append(Text("*Further pages were not read.*"))
                            return reading
                        parts.append(desk.keep_picture(piece))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise CorruptFile("This picture has more pixels than can be read.") from None
    except UnidentifiedImageError:
        raise CorruptFile("This picture is damaged.") from None
    # Decoders raise all of these on damaged data.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError):
        raise CorruptFile("This picture is damaged.") from None
    return reading


def _frames(image: Image.Image, known: Format, reading: Reading) -> Iterator[Image.Image]:
    count = getattr(image, "n_frames", 1) if known is Format.TIFF else 1
    if known is Format.TIFF:
        reading.pages = count
    for number in range(count):
        if count > 1:
            image.seek(number)
        if known is Format.JPG:
            # Decodes at a fraction of the size where that is enough.
            image.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))
        yield _upright(image)


def _upright(image: Image.Image) -> Image.Image:
    """As somebody would see it: turned as the camera says, on white paper, grey or RGB."""
    image.load()
    return ImageOps.exif_transpose(_with_orientation(_opaque(image), image))


def _with_orientation(frame: Image.Image, image: Image.Image) -> Image.Image:
    frame.getexif()[0x0112] = image.getexif().get(0x0112, 1)
    return frame


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        lowest, highest = cast(tuple[float, float], image.getextrema())
        span = (highest - lowest) or 1
        return image.convert("F").point(lambda value: (value - lowest) * (255 / span)).convert("L")
    if image.has_transparency_data:
        layer = _shrunk(image, "RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return _shrunk(image, "L" if image.mode in ("1", "L") else "RGB")


def _shrunk(image: Image.Image, mode: str) -> Image.Image:
    """In this mode, and no wider than letters need; with few copies, for memory is short."""
    if image.mode != mode:
        image = image.convert(mode)
    width, height = image.size
    if width > _LONGEST_SIDE:
        image.thumbnail((_LONGEST_SIDE, max(_LONGEST_SIDE, height * _LONGEST_SIDE // width)))
    return image


def _pieces(image: Image.Image) -> Iterator[Image.Image]:
    width, height = image.size
    if height <= _PIECE or height < width * _LONG:
        yield image
        return
    step = max(_PIECE, int(width * _LONG))
    if height <= step * 1.25:
        yield image
        return
    top = 0
    while top < height:
        end = min(top + step, height)
        if end < height:
            end = _blank_row(image, end)
        yield image.crop((0, top, width, end))
        top = end


def _blank_row(image: Image.Image, around: int) -> int:
    """A row at or a little above `around` where no line of letters is cut in two."""
    strip = image.crop((0, around - _LOOK_BACK, image.width, around)).convert("L")
    for row in range(strip.height - 1, -1, -1):
        row_only = strip.crop((0, row, strip.width, row + 1))
        low, high = cast(tuple[int, int], row_only.getextrema())
        if high - low < _NEARLY_ONE_COLOUR:
            return around - strip.height + row + 1
    return around


def _learn_heic() -> None:
    try:
        # Of an extra of its own, for its licence.
        import pillow_heif  # noqa: PLC0415
    except ImportError:
        supported = [known.value for known in Format if known is not Format.HEIC]
        raise UnsupportedFormat("heic", supported) from None
    pillow_heif.register_heif_opener(thumbnails=False)
