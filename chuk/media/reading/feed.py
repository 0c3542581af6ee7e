"""RSS and Atom: a heading for each entry."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from chuk.media.reading.desk import Desk
from chuk.media.reading.html import markdown_of
from chuk.media.reading.markdown import escaped, fence, heading, plain
from chuk.media.reading.source import Reading, Source, of_text
from chuk.media.reading.xml import as_text, parsed

_ENTRIES = ("item", "entry")
_DATES = ("pubDate", "published", "updated", "date")
_BODIES = ("encoded", "content", "description", "summary")


def read(source: Source, desk: Desk) -> Reading:
    """Title and entries; what is not well-formed comes as the XML it nearly is."""
    root = parsed(source.data)
    if root is None:
        return of_text(fence(as_text(source.data), "xml"))
    channel = next((child for child in root if _name(child) == "channel"), root)
    title = _first(channel, "title")
    lines = [heading(title or "Feed", 1)]
    if about := _first(channel, "description", "subtitle"):
        lines.append(markdown_of(about))
    room = desk.budget.characters
    is_whole = True
    for entry in _entries(root, channel):
        if room <= 0:
            is_whole = False
            break
        lines += _entry(entry)
        room -= sum(map(len, lines[-4:]))
    reading = of_text("\n\n".join(line for line in lines if line), plain(title))
    reading.is_truncated = not is_whole
    return reading


def _entries(root: Element, channel: Element) -> Iterator[Element]:
    # In RSS 1.0 they stand beside the channel.
    for place in (channel, root) if channel is not root else (root,):
        yield from (child for child in place if _name(child) in _ENTRIES)


def _entry(entry: Element) -> list[str]:
    lines = [heading(_first(entry, "title") or "Untitled")]
    facts = [escaped(_first(entry, *_DATES)), _link(entry)]
    lines.append(" · ".join(fact for fact in facts if fact))
    lines.append(markdown_of(_first(entry, *_BODIES)))
    return lines


def _link(entry: Element) -> str:
    for child in entry:
        if _name(child) == "link" and child.get("rel", "alternate") == "alternate":
            address = plain(child.get("href") or child.text or "")
            if address.startswith(("http://", "https://")):
                return f"<{address.replace('>', '%3E').replace(' ', '%20')}>"
    return ""


def _first(element: Element, *names: str) -> str:
    """The text of the first of these that has some."""
    for name in names:
        for child in element:
            if _name(child) == name:
                text = "".join(child.itertext()).strip()
                if text:
                    return text
    return ""


def _name(element: Element) -> str:
    """An element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]
