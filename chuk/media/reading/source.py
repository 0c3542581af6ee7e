"""What goes into reading, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chuk.media.formats import Format


@dataclass(frozen=True, slots=True)
class Source:
    """A file in memory.

    Attributes:
        name: what its owner calls it.
        depth: how many archives and letters are around it.
    """

    data: bytes
    format: Format
    name: str
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """Markdown."""

    text: str

    def as_json(self) -> dict[str, Any]:
        """As the answer has it."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Picture:
    """The name of a picture in the folder, whose letters are to be read."""

    name: str

    def as_json(self) -> dict[str, Any]:
        """As the answer has it."""
        return {"picture": self.name}


@dataclass(frozen=True, slots=True)
class Sound:
    """The name of a recording in the folder, which is to be heard."""

    name: str
    format: Format

    def as_json(self) -> dict[str, Any]:
        """As the answer has it."""
        return {"sound": self.name, "format": self.format.value}


Part = Text | Picture | Sound


@dataclass(slots=True)
class Reading:
    """What stands in a file, in reading order.

    Attributes:
        title: the document's own.
        pages: of a file that has some.
        is_truncated: whether the file has more than the parts.
    """

    parts: list[Part] = field(default_factory=list)
    title: str | None = None
    pages: int | None = None
    is_truncated: bool = False


def of_text(markdown: str, title: str | None = None) -> Reading:
    """A reading that is one text."""
    return Reading([Text(markdown)], title=title)
