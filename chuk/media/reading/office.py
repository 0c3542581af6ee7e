"""Documents, slides, sheets and books of Office, OpenDocument, RTF and EPUB."""

from __future__ import annotations

import re

import anydoc

from chuk.errors import CorruptFile, UnsupportedFormat
from chuk.media.formats import Format
from chuk.media.reading.desk import Desk
from chuk.media.reading.markdown import escaped
from chuk.media.reading.properties import hidden_sheets, refuse_entities, title_of
from chuk.media.reading.source import Part, Reading, Source, of_text

_SHEETS = frozenset({Format.XLSX, Format.XLS})
_SLIDES = frozenset({Format.PPT, Format.ODP})
# The number of the slide, where a program did not fill it in.
_EMPTY_NUMBER = re.compile(
    r"^>\n> (?:\\\*|\\<number>)$\n?|^> (?:\\\*|\\<number>)$\n?", re.MULTILINE
)
_LOCKED = "EncryptedPackage".encode("utf-16-le")


def read(source: Source, desk: Desk) -> Reading:
    """A document in Markdown; one of pictures alone as those."""
    if source.data.startswith(b"\xd0\xcf\x11\xe0") and _LOCKED in source.data:
        raise CorruptFile("This document is protected with a password.")
    if source.data.startswith(b"PK"):
        refuse_entities(source)
    wanted = Format.XLSX if source.format is Format.XLS else source.format
    try:
        # Never with `ocr`: that would send the document away.
        markdown = anydoc.to_markdown_bytes(source.data, wanted.value)  # type: ignore[arg-type]
    except anydoc.EncryptedError:
        raise CorruptFile("This document is protected with a password.") from None
    except anydoc.ResourceLimitError:
        raise CorruptFile("This document unpacks to more than can be read.") from None
    except (anydoc.ConvertError, ValueError):
        raise CorruptFile("This document is damaged.") from None
    if source.format in _SLIDES:
        markdown = _EMPTY_NUMBER.sub("", markdown)
    if source.format in _SHEETS and (hidden := hidden_sheets(source)):
        names = ", ".join(map(escaped, hidden))
        markdown = f"{markdown.rstrip()}\n\n*Hidden sheets were left out: {names}.*"
    if not markdown.strip():
        return Reading(_pictures(source, wanted, desk), title=title_of(source))
    return of_text(markdown, title_of(source))


def _pictures(source: Source, wanted: Format, desk: Desk) -> list[Part]:
    """The pictures in a document without words, which may be scanned pages."""
    parts: list[Part] = []
    for asset in anydoc.to_document(source.data, wanted.value).assets:  # type: ignore[arg-type]
        try:
            parts += desk.read_packed(asset.data, "", source)
        # Drawings in formats of their own are no letters.
        except (CorruptFile, UnsupportedFormat):
            continue
    return parts
