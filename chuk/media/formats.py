"""Which format a file has: by its content, and where that may mean several, by its name.

Pure but for reading the file. What somebody says about a file (its part's content type) is never
asked; its name is asked only between formats that look alike, and for what is no longer what its
name says: that is a damaged file, not an unknown one.
"""

from __future__ import annotations

import mmap
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from chuk.media.endings import CODE_NAMES, OTHER_ENDINGS

Content = bytes | mmap.mmap


class Format(StrEnum):
    """What can be converted to Markdown."""

    PDF = "pdf"
    DOCX, DOC, PPTX, PPT, XLSX, XLS = "docx", "doc", "pptx", "ppt", "xlsx", "xls"
    ODT, ODS, ODP, RTF, EPUB = "odt", "ods", "odp", "rtf", "epub"
    JPG, PNG, GIF, BMP, WEBP, TIFF, HEIC = "jpg", "png", "gif", "bmp", "webp", "tiff", "heic"
    MP3, WAV, M4A, AAC, FLAC, OGG, WEBM = "mp3", "wav", "m4a", "aac", "flac", "ogg", "webm"
    ZIP, MSG, EML = "zip", "msg", "eml"
    HTML, CSV, JSON, XML, IPYNB, RSS = "html", "csv", "json", "xml", "ipynb", "rss"
    TEXT, CODE = "text", "code"


AUDIO = frozenset(
    {Format.MP3, Format.WAV, Format.M4A, Format.AAC, Format.FLAC, Format.OGG, Format.WEBM}
)
IMAGES = frozenset(
    {
        Format.JPG,
        Format.PNG,
        Format.GIF,
        Format.BMP,
        Format.WEBP,
        Format.TIFF,
        Format.HEIC,
    }
)
_TEXTS = frozenset(
    {
        Format.EML,
        Format.HTML,
        Format.CSV,
        Format.JSON,
        Format.XML,
        Format.IPYNB,
        Format.RSS,
        Format.TEXT,
        Format.CODE,
    }
)

_BY_ENDING: dict[str, Format] = {
    known.value: known for known in Format if known not in (Format.TEXT, Format.CODE)
}
_BY_ENDING |= {
    ending: Format(known) for known, endings in OTHER_ENDINGS.items() for ending in endings.split()
}

_HEAD = 65_536
_MOST_MEMBERS = 10_000
# Of what a member says its package is, packed or not.
_LONGEST_KIND = 512
_PLAIN_ENDING = re.compile(r"[a-z0-9]{1,10}")

# The first bytes of formats that need no closer look, and of programs, which are nothing of ours.
_MAGIC: tuple[tuple[bytes, Format | None], ...] = (
    (b"%PDF-", Format.PDF),
    (b"{\\rtf", Format.RTF),
    (b"\xff\xd8\xff", Format.JPG),
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"II+\0", Format.TIFF),
    (b"MM\0+", Format.TIFF),
    (b"fLaC", Format.FLAC),
    (b"OggS", Format.OGG),
    (b"ADIF", Format.AAC),
    (b"\x7fELF", None),
    (b"\xca\xfe\xba\xbe", None),
    (b"\xcf\xfa\xed\xfe", None),
    (b"\xce\xfa\xed\xfe", None),
)
_ODF_KINDS = {
    b"application/epub+zip": Format.EPUB,
    b"application/vnd.oasis.opendocument.text": Format.ODT,
    b"application/vnd.oasis.opendocument.spreadsheet": Format.ODS,
    b"application/vnd.oasis.opendocument.presentation": Format.ODP,
}
_OFFICE_PARTS = (
    (b"word/document", Format.DOCX),
    (b"ppt/presentation", Format.PPTX),
    (b"xl/workbook", Format.XLSX),
    (b"META-INF/container.xml", Format.EPUB),
)
_ZIPPED = frozenset(
    {
        Format.DOCX,
        Format.PPTX,
        Format.XLSX,
        Format.ODT,
        Format.ODS,
        Format.ODP,
        Format.EPUB,
        Format.ZIP,
    }
)
# Streams in a compound file (Microsoft's [MS-CFB]), first what may hold the others.
_STREAMS = (
    ("__properties_version1.0", Format.MSG),
    ("WordDocument", Format.DOC),
    ("PowerPoint Document", Format.PPT),
    ("Workbook", Format.XLS),
    ("Book", Format.XLS),
)
_OFFICE = frozenset(
    {Format.DOC, Format.DOCX, Format.PPT, Format.PPTX, Format.XLS, Format.XLSX, Format.MSG}
)
_STILL_PICTURES = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_HEADER_LINE = re.compile(
    rb"(?:received|from|to|cc|subject|date|mime-version|message-id|return-path|reply-to|"
    rb"delivered-to|content-type|dkim-signature|x-[a-z-]+):",
    re.IGNORECASE,
)
_XML_ROOT = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f\x7f]")


def detect_file(path: Path, name: str) -> Format | None:
    """The format of a file; it reads the file, so call it outside the event loop.

    Args:
        name: what its owner calls it.
    """
    with path.open("rb") as file:
        if not file.read(1):
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return detect(content, name)


def detect(content: Content, name: str) -> Format | None:
    """The format of a whole file; None: empty, or nothing that is read here.

    Args:
        name: what its owner calls it.
    """
    head = bytes(content[:_HEAD])
    if not head:
        return None
    named = named_format(name)
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zipped(content, head, named)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _compound(content, named)
    media = _media(head)
    if media is not None:
        return media
    # Some that write PDFs put lines of text before them.
    if named is Format.PDF and b"%PDF-" in head[:1024]:
        return Format.PDF
    if _is_text(head, named):
        return _text(head, named)
    if named is Format.PDF or b"%PDF-" in head[:1024]:
        return Format.PDF
    # What is left has lost its beginning; whoever reads it will say that it is damaged.
    return None if named in _TEXTS or head.startswith(b"MZ") else named


def named_format(name: str) -> Format | None:
    """The format that a name promises; None where it promises none."""
    plain = name.lower()
    if plain in CODE_NAMES:
        return Format.CODE
    _, dot, ending = plain.rpartition(".")
    return _BY_ENDING.get(ending) if dot else None


def ending_of(name: str) -> str:
    """A name's ending, for telling somebody that it is not supported; `unknown` if there is none.

    Only what looks like an ending is repeated, never a part of a name.
    """
    _, dot, ending = name.lower().rpartition(".")
    return ending if dot and _PLAIN_ENDING.fullmatch(ending) else "unknown"


def _zipped(content: Content, head: bytes, named: Format | None) -> Format:
    # OpenDocument and EPUB have a member that says what they are: the first one, as it is, as
    # they should be written; but others write them too.
    if head[30:38] == b"mimetype" and (found := _odf_kind(content, 0)) is not None:
        return found
    member = None
    for member, position in _members(content):
        if member == b"mimetype" and (found := _odf_kind(content, position)) is not None:
            return found
        for part, found in _OFFICE_PARTS:
            if member.startswith(part):
                return found
    # With its list of members cut off, its name is all there is to go by.
    return named if member is None and named in _ZIPPED else Format.ZIP


def _odf_kind(content: Content, position: int) -> Format | None:
    """What the member `mimetype`, which stands there, says; None: nothing that is known."""
    if content[position : position + 4] != b"PK\x03\x04" or position + 30 > len(content):
        return None
    (method,) = struct.unpack_from("<H", content, position + 8)
    name, extra = struct.unpack_from("<HH", content, position + 26)
    start = position + 30 + name + extra
    kind = bytes(content[start : start + _LONGEST_KIND])
    if method == zipfile.ZIP_DEFLATED:
        try:
            kind = zlib.decompressobj(-zlib.MAX_WBITS).decompress(kind, _LONGEST_KIND)
        except zlib.error:
            return None
    for prefix, found in _ODF_KINDS.items():
        # A template's kind has a longer name.
        if kind.lstrip().startswith(prefix):
            return found
    return None


def _members(content: Content) -> Iterator[tuple[bytes, int]]:
    """A zip's own list of members, the first thousands of them: each name, and where it begins."""
    end = content.rfind(b"PK\x05\x06", max(0, len(content) - 66_000))
    if end < 0 or end + 22 > len(content):
        return
    (position,) = struct.unpack_from("<I", content, end + 16)
    for _ in range(_MOST_MEMBERS):
        if content[position : position + 4] != b"PK\x01\x02" or position + 46 > len(content):
            return
        name, extra, comment = struct.unpack_from("<HHH", content, position + 28)
        (begin,) = struct.unpack_from("<I", content, position + 42)
        yield bytes(content[position + 46 : position + 46 + name]), begin
        position += 46 + name + extra + comment


def _compound(content: Content, named: Format | None) -> Format | None:
    found = {kind for stream, kind in _STREAMS if content.find(stream.encode("utf-16-le")) >= 0}
    if content.find("EncryptedPackage".encode("utf-16-le")) >= 0:
        return named if named in _OFFICE else Format.DOCX
    if named in found:
        return named
    for _, kind in _STREAMS:
        if kind in found:
            return kind
    return named if named in _OFFICE else None


def _media(head: bytes) -> Format | None:
    """Formats of pictures and sound whose first bytes need a closer look."""
    kind = head[8:12]
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"WAVE": Format.WAV, b"WEBP": Format.WEBP}.get(kind)
    if head[4:8] == b"ftyp":
        if kind in _STILL_PICTURES:
            return Format.HEIC
        return None if kind in (b"avif", b"avis") else Format.M4A
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Format.WEBM if b"webm" in head[:256] or b"matroska" in head[:256] else None
    if head.startswith(b"BM") and len(head) > 26 and head[6:10] == b"\0\0\0\0":
        # The size of the header that follows; every version of it has its own.
        return Format.BMP if head[14:18] in _BMP_HEADERS else None
    if head.startswith(b"ID3"):
        return Format.MP3
    return _frames(head)


_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124))


def _frames(head: bytes) -> Format | None:
    """Sound without any header: frames, each of which says how long it is."""
    if len(head) < 7 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        following = head[length : length + 2]
        is_frame = length > 7 and (len(following) < 2 or following[0] == 0xFF)
        return Format.AAC if is_frame else None
    layer, bitrate, rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    is_frame = head[1] & 0xE0 == 0xE0 and layer in (1, 2) and bitrate not in (0, 15) and rate != 3
    return Format.MP3 if is_frame else None


def _is_text(head: bytes, named: Format | None) -> bool:
    """Whether this is text in some encoding; the name is not believed against the bytes."""
    if head.startswith(_BYTE_ORDER_MARKS):
        return True
    if b"\0" in head:
        # UTF-16 without its mark has a zero in every other byte of plain letters.
        zeros = (head[::2].count(0), head[1::2].count(0))
        return named in _TEXTS and max(zeros) > len(head) // 5 and min(zeros) == 0
    return len(_CONTROLS.findall(head)) * 100 <= len(head)


def _text(head: bytes, named: Format | None) -> Format:
    """Which kind of text. A name that says how to read it is believed; others are not."""
    if named in _TEXTS and named not in (Format.TEXT, Format.XML, Format.HTML):
        return _closer(head, named)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    lowered = start[:1024].lower()
    if lowered.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return Format.HTML
    if lowered.startswith(b"<?xml") or named is Format.XML:
        return _xml(start, named)
    if named in (Format.HTML, Format.TEXT):
        return named
    if lowered.startswith((b"{", b"[")) and b'"' in start:
        return _closer(head, Format.JSON)
    lines = start.split(b"\n", 12)[:12]
    if sum(_HEADER_LINE.match(line) is not None for line in lines) >= 3:
        return Format.EML
    return Format.TEXT


def _closer(head: bytes, named: Format) -> Format:
    if named is Format.JSON and b'"nbformat"' in head and b'"cells"' in head:
        return Format.IPYNB
    return named


def _xml(start: bytes, named: Format | None) -> Format:
    root = _XML_ROOT.search(re.sub(rb"<!--.*?-->|<\?.*?\?>", b"", start, flags=re.DOTALL))
    name = root[1].lower() if root else b""
    if name == b"html":
        return Format.HTML
    if name in (b"rss", b"feed", b"rdf:rdf"):
        return Format.RSS
    return named if named is Format.HTML else Format.XML
