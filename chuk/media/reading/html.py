"""Web pages."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import html_to_markdown

from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.markdown import without_unsafe_links
from chuk.media.reading.source import Reading, Source, of_text

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
_HEAD = 4096
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{0,1000})</title", re.IGNORECASE)
_OPTIONS = html_to_markdown.ConversionOptions(
    extract_metadata=False,
    inline_data_media="alt_text_only",
    # What stands in a form may be all that a page has.
    preprocessing=html_to_markdown.PreprocessingOptions(remove_forms=False),
)
_UNSEEN = frozenset({"script", "style", "template", "noscript", "head"})
_INLINE = frozenset(
    {"a", "b", "i", "u", "em", "strong", "span", "code", "small", "sub", "sup", "font", "img"}
)


def read(source: Source, desk: Desk) -> Reading:
    """What a browser would show, as far as it is text."""
    declared = _CHARSET.search(source.data[:_HEAD])
    page = decode(source.data, declared[1].decode() if declared else None)
    title = _TITLE.search(page)
    return of_text(markdown_of(page), unescape(title[1]) if title else None)


def markdown_of(page: str) -> str:
    """A page or a piece of one as Markdown, without links that are programs or data."""
    try:
        result = html_to_markdown.convert(page, _OPTIONS)
    except html_to_markdown.ConversionError:
        return _bare_text(page)
    # Nested too deep, it leaves everything out and says so here alone.
    if result.warnings and not (result.content or "").strip():
        return _bare_text(page)
    return without_unsafe_links(result.content or "").strip("\n")


def _bare_text(page: str) -> str:
    reader = _BareText()
    reader.feed(page)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).split("\n"))
    return "\n\n".join(line for line in lines if line)


class _BareText(HTMLParser):
    """The words alone, a line for each block; however deep they are nested."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._unseen = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN and not self._unseen:
            self._unseen = tag
        elif tag not in _INLINE:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._unseen:
            self._unseen = ""
        elif tag not in _INLINE:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.pieces.append(data.replace("\n", " "))
