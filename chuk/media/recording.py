"""The words of hearing: what is listened to, what helps, and what was said."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from chuk.media.formats import Format


@dataclass(frozen=True, slots=True)
class Hints:
    """What a recogniser may be told beforehand.

    Attributes:
        prompt: words and names that are likely, in the recording's language; may be empty.
        language: ISO 639-1; None: it finds out.
        temperature: 0 (the most likely words) to 1.
    """

    prompt: str = ""
    language: str | None = None
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was decoded once, from its beginning to its end.

    Attributes:
        path: what the recogniser reads.
        format: of what is at `path`; None: samples alone, 16-bit mono at 16 kHz.
        seconds: as decoded; what the file says of itself does not count.
        is_silent: whether there is nothing in it but silence.
    """

    path: Path
    format: Format | None
    seconds: float
    is_silent: bool

    @property
    def started_seconds(self) -> int:
        """What is billed."""
        return math.ceil(self.seconds)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a transcript; seconds from the recording's beginning."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said.

    Attributes:
        text: empty where nothing was.
        model: who heard it.
        seconds: of the recording.
        language: ISO 639-1 where there is such a code; None: not known.
    """

    text: str
    model: str
    seconds: float
    language: str | None
    segments: tuple[Segment, ...]
