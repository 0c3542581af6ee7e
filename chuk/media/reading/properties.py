"""What stands in documents besides their text: titles, and which sheets are hidden."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from chuk.errors import CorruptFile
from chuk.media.formats import Format
from chuk.media.reading.source import Source

_OFFICE = frozenset({Format.DOCX, Format.PPTX, Format.XLSX})
_OPEN = frozenset({Format.ODT, Format.ODS, Format.ODP})
_XML_ENDINGS = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf", ".ncx")
_MOST_PARTS, _BEGINNING = 1_000, 4_096
# How a damaged archive shows.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
_LONGEST = 2_000_000
_BOUND_SHEET, _RECORD_HEAD = 0x85, 4


def title_of(source: Source) -> str | None:
    """The title in a document's properties; None where it has none."""
    if source.format in _OFFICE:
        part = "docProps/core.xml"
    elif source.format in _OPEN:
        part = "meta.xml"
    elif source.format is Format.EPUB:
        part = ".opf"
    else:
        return None
    for element in _elements(source.data, part):
        if element.tag == "{http://purl.org/dc/elements/1.1/}title":
            return (element.text or "").strip() or None
    return None


def hidden_sheets(source: Source) -> list[str]:
    """The names of the sheets of an Excel workbook that it does not show."""
    if source.data.startswith(b"\xd0\xcf\x11\xe0"):
        return list(_hidden_in_records(source.data))
    return [
        element.get("name", "")
        for element in _elements(source.data, "xl/workbook.xml")
        if element.tag.endswith("}sheet") and element.get("state", "visible") != "visible"
    ]


def refuse_entities(source: Source) -> None:
    """Refuse a document whose parts define entities, which are of use to bombs alone.

    Raises:
        CorruptFile: one does, in the place where such definitions stand.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
            for info in archive.infolist()[:_MOST_PARTS]:
                if info.filename.endswith(_XML_ENDINGS):
                    with archive.open(info) as part:
                        beginning = part.read(_BEGINNING)
                    if b"<!ENTITY" in beginning.replace(b"\0", b""):
                        raise CorruptFile("This document defines entities, which are not read.")
    # What is wrong with it otherwise, whoever reads its text will say.
    except _BROKEN:
        return


def _elements(data: bytes, part: str) -> Iterator[Element]:
    """The elements of one part; none where it is missing, broken or too long.

    The text itself was read by then, so that this is no reason to refuse a document.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            name = next((name for name in archive.namelist() if name.endswith(part)), None)
            if name is None:
                return
            with archive.open(name) as member:
                content = member.read(_LONGEST)
        yield from defusedxml.ElementTree.fromstring(content).iter()
    except (ParseError, DefusedXmlException, *_BROKEN):
        return


def _hidden_in_records(data: bytes) -> Iterator[str]:
    """Names in the records of a workbook of Excel 97: each a kind, a length, and its content."""
    import olefile  # noqa: PLC0415 - only for the old format

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            if not file.exists("Workbook"):
                return
            with file.openstream("Workbook") as stream:
                book = stream.read(_LONGEST)
    except (OSError, ValueError, IndexError):
        return
    at = 0
    while at + _RECORD_HEAD <= len(book):
        kind = int.from_bytes(book[at : at + 2], "little")
        length = int.from_bytes(book[at + 2 : at + 4], "little")
        content = book[at + _RECORD_HEAD : at + _RECORD_HEAD + length]
        if kind == _BOUND_SHEET and len(content) > 8 and content[4] & 3:
            yield content[8:].decode("utf-16-le" if content[7] & 1 else "latin-1", "replace")
        at += _RECORD_HEAD + length
