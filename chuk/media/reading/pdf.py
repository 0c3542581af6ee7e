"""PDF: the text of each page, and those without any as pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liteparse import LiteParse, ParseError

from chuk.errors import CorruptFile
from chuk.media.reading.desk import Desk
from chuk.media.reading.source import Part, Reading, Source, Text

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument

_DOTS_PER_INCH, _POINTS_PER_INCH = 200, 72
_LONGEST_SIDE = 4_000
_PAGES_AT_ONCE = 25
# A number or a stamp is not the text of a page that was scanned.
_FEW_LETTERS = 25
_MOST_PAGES = 5_000
# Of a page's letters; where fewer are in its Markdown, what is set sideways was left out.
_MOST_LETTERS = 0.8
_PIECES = re.compile(r"\n| {3,}")
_MAGIC = b"%PDF-"
_ANYWHERE = 1024


def read(source: Source, desk: Desk) -> Reading:
    """Every page in order."""
    # Without this, what reads it would take a file for another format and start a program for it.
    start = source.data.find(_MAGIC, 0, _ANYWHERE)
    if start < 0:
        raise CorruptFile("This PDF is damaged.")
    pages = _Pages(source.data[start:], desk)
    try:
        reading = pages.read()
    except ParseError as error:
        if "password" in str(error).lower():
            raise CorruptFile("This PDF is protected with a password.") from None
        raise CorruptFile("This PDF is damaged.") from None
    finally:
        pages.close()
    return reading


class _Pages:
    def __init__(self, data: bytes, desk: Desk) -> None:
        self._data = data
        self._desk = desk
        self._document: PdfDocument | None = None
        self._unread: list[int] = []

    def read(self) -> Reading:
        parser = LiteParse(
            ocr_enabled=False,
            output_format="markdown",
            quiet=True,
            image_mode="off",
            # Without it the first and the last line of every page are missing.
            keep_headers_footers=True,
            continue_on_page_error=True,
            max_pages=_MOST_PAGES,
        )
        reading = Reading()
        room = self._desk.budget.characters
        for batch in parser.parse_batches(self._data, _PAGES_AT_ONCE):
            reading.pages = batch.total_pages
            reading.is_truncated = batch.total_pages > _MOST_PAGES
            if room <= 0:
                reading.is_truncated = True
                break
            for page in batch.result.pages:
                text = _whole(page.markdown, page.text)
                room -= len(text)
                reading.parts += self._parts(page.page_num, text)
            for failed in batch.result.page_errors:
                reading.parts += self._parts(failed.page_num, "")
        if self._unread:
            reading.is_truncated = True
            numbers = ", ".join(map(str, self._unread[:100]))
            reading.parts.append(Text(f"*Scanned pages that were not read: {numbers}.*"))
        return reading

    def close(self) -> None:
        if self._document is not None:
            self._document.close()

    def _parts(self, number: int, markdown: str) -> list[Part]:
        parts: list[Part] = [Text(markdown)] if markdown else []
        if sum(map(str.isalnum, markdown)) < _FEW_LETTERS:
            picture = self._picture(number, must_have_image=bool(parts))
            if picture is not None:
                parts.append(picture)
        return parts

    def _picture(self, number: int, *, must_have_image: bool) -> Part | None:
        """A page as a picture; None: it is blank, or has its few words and no image."""
        # Slow to load, and most files need none of it.
        import pypdfium2  # noqa: PLC0415
        import pypdfium2.raw  # noqa: PLC0415

        try:
            if self._document is None:
                self._document = pypdfium2.PdfDocument(self._data)
            page = self._document[number - 1]
            images = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)
            if must_have_image and next(iter(images), None) is None:
                return None
            if not self._desk.budget.take_picture():
                self._unread.append(number)
                return None
            scale = min(_DOTS_PER_INCH / _POINTS_PER_INCH, _LONGEST_SIDE / max(page.get_size()))
            image = page.render(scale=scale, grayscale=True).to_pil()
            page.close()
        except (pypdfium2.PdfiumError, IndexError, ZeroDivisionError):
            self._unread.append(number)
            return None
        darkest, lightest = image.getextrema()
        return None if darkest == lightest else self._desk.keep_picture(image)


def _whole(markdown: str, text: str) -> str:
    """A page's Markdown, with what it leaves out of a page that has lines set sideways."""
    # An empty page's Markdown is an empty fence.
    if not text.strip():
        return ""
    kept = _letters(markdown)
    if len(kept) >= len(_letters(text)) * _MOST_LETTERS:
        return markdown
    pieces = (piece.strip() for piece in _PIECES.split(text))
    left_out = [piece for piece in pieces if (found := _letters(piece)) and found not in kept]
    return "\n\n".join(part for part in (markdown, "\n".join(left_out)) if part)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
