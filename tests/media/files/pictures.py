"""Pictures with lines to read, and pages that hold only such pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pypdfium2
from PIL import Image, ImageDraw, ImageFont

_TURNED_LEFT = 8  # how EXIF says that a picture is to be turned by 270 degrees
_ORIENTATION = 0x0112


def picture_of(*lines: str, mode: str = "RGB", left: int = 60, width: int = 1000) -> Image.Image:
    """Black letters on white, or on nothing where the mode can."""
    paper = (255, 255, 255, 0) if mode == "RGBA" else "white"
    image = Image.new(mode, (width, 120 + 90 * len(lines)), paper)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((left, 60 + 90 * number), line, "black", ImageFont.load_default(44))
    return image


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def tiff_of(pages: Sequence[Image.Image]) -> bytes:
    """A TIFF of several pages."""
    return encoded(pages[0], "TIFF", save_all=True, append_images=list(pages[1:]))


def turned_jpeg(image: Image.Image) -> bytes:
    """A photograph by a camera that was held upright, and says so."""
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED_LEFT
    return encoded(image.transpose(Image.Transpose.ROTATE_270), "JPEG", exif=exif)


def scanned_pdf(*pages: Image.Image) -> bytes:
    """A PDF whose pages are pictures."""
    document = pypdfium2.PdfDocument.new()
    for image in pages:
        photo = pypdfium2.PdfImage.new(document)
        photo.load_jpeg(io.BytesIO(encoded(image, "JPEG")), inline=True)
        width, height = image.width * 72 / 200, image.height * 72 / 200
        photo.set_matrix(pypdfium2.PdfMatrix().scale(width, height))
        page = document.new_page(width, height)
        page.insert_obj(photo)
        page.gen_content()
    file = io.BytesIO()
    document.save(file)
    document.close()
    return file.getvalue()
