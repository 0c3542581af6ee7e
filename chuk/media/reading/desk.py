"""Where one file is read, with all that is packed in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from chuk.errors import CorruptFile, UnsupportedFormat
from chuk.media.formats import AUDIO, IMAGES, Format, detect, ending_of
from chuk.media.reading.budget import Budget
from chuk.media.reading.markdown import plain, without_unsafe_links
from chuk.media.reading.source import Part, Picture, Reading, Sound, Source, Text

if TYPE_CHECKING:
    from PIL.Image import Image

_READERS = {
    **dict.fromkeys((Format.DOC, Format.DOCX, Format.ODT, Format.RTF, Format.EPUB), "office"),
    **dict.fromkeys((Format.PPT, Format.PPTX, Format.ODP), "office"),
    **dict.fromkeys((Format.XLS, Format.XLSX, Format.ODS), "office"),
    **dict.fromkeys(IMAGES, "pictures"),
    Format.PDF: "pdf",
    Format.HTML: "html",
    Format.EML: "letter",
    Format.MSG: "outlook",
    Format.ZIP: "archive",
    Format.CSV: "table",
    Format.JSON: "plain",
    Format.TEXT: "plain",
    Format.CODE: "plain",
    Format.XML: "xml",
    Format.RSS: "feed",
    Format.IPYNB: "notebook",
}
_JPEG_QUALITY = 92
# What reads letters goes by the shorter side: of a narrower picture it would make nothing, or
# more than there is memory for.
_NARROWEST = 1 / 8


class Desk:
    """Reads a file by its format, keeps to the budget, and keeps pictures and sounds.

    Args:
        folder: is empty, and may be filled.
    """

    def __init__(self, folder: Path, budget: Budget) -> None:
        self.budget = budget
        self._folder = folder
        self._kept = 0

    def read(self, source: Source) -> Reading:
        """Read one file; its texts together stay within the budget.

        Raises:
            CorruptFile: it is damaged, encrypted, or there is nothing in it.
            UnsupportedFormat: what would read it is not installed.
        """
        if not source.data:
            raise CorruptFile("This file is empty.")
        if source.format in AUDIO:
            return Reading([self._sound(source)])
        module = import_module(f"chuk.media.reading.{_READERS[source.format]}")
        reading: Reading = module.read(source, self)
        has_text = False
        for at, part in enumerate(reading.parts):
            if isinstance(part, Text):
                text = without_unsafe_links(part.text).replace("\0", "").strip("\n")
                has_text = has_text or bool(text.strip())
                # What is packed in a file was counted when that was read.
                reading.parts[at] = Text(text if _packs(source) else self.budget.take_text(text))
            else:
                has_text = True
        if not has_text:
            raise CorruptFile("No text was found in this file.")
        if reading.title is not None:
            reading.title = plain(reading.title) or None
        return reading

    def read_packed(self, data: bytes, name: str, around: Source) -> list[Part]:
        """Read what is packed in another file.

        Raises:
            CorruptFile, UnsupportedFormat: it cannot be read; for others it does not matter.
        """
        if around.depth + 1 > self.budget.depth:
            self.budget.has_left_out = True
            raise CorruptFile("It is packed too deep.")
        found = detect(data, name)
        if found is None:
            if not data:
                raise CorruptFile("It is empty.")
            raise UnsupportedFormat(ending_of(name), ())
        return self.read(Source(data, found, name, around.depth + 1)).parts

    def keep_picture(self, image: Image) -> Picture:
        """Keep a picture whose letters are to be read; it is grey or RGB."""
        image = _not_too_narrow(image)
        path = self._next_file("jpg")
        image.save(path, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return Picture(path.name)

    def _sound(self, source: Source) -> Part:
        if not self.budget.take_sound():
            return Text("*This recording was not listened to: there are too many of them.*")
        path = self._next_file(source.format.value)
        path.write_bytes(source.data)
        return Sound(path.name, source.format)

    def _next_file(self, ending: str) -> Path:
        # Never a name from inside a file.
        self._kept += 1
        return self._folder / f"{self._kept}.{ending}"


def _not_too_narrow(image: Image) -> Image:
    """The picture, or one on a broader sheet of paper."""
    least = int(max(image.size) * _NARROWEST)
    if min(image.size) >= least:
        return image
    sheet = import_module("PIL.Image").new(
        image.mode, [max(side, least) for side in image.size], "white"
    )
    sheet.paste(image, (0, 0))
    return cast("Image", sheet)


def _packs(source: Source) -> bool:
    return source.format in (Format.ZIP, Format.EML, Format.MSG)
