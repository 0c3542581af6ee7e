"""How much one file may make us do, everything inside it together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Budget:
    """What is left; shared by a file and all that is packed in it, however deep.

    Attributes:
        bytes: that may be unpacked from archives and letters, counted as they are read.
        entries: members and attachments.
        depth: of archives and letters in one another.
        pictures: whose letters are read.
        sounds: that are heard.
        characters: of text; above what an answer can hold, so that the cut is the caller's.
        has_left_out: whether something was not read for want of any of these.
    """

    bytes: int = 100_000_000
    entries: int = 1_000
    depth: int = 5
    pictures: int = 60
    sounds: int = 10
    characters: int = 200_000
    has_left_out: bool = False

    def take_picture(self) -> bool:
        """Whether one more picture may be read."""
        self.pictures -= 1
        self.has_left_out = self.has_left_out or self.pictures < 0
        return self.pictures >= 0

    def take_sound(self) -> bool:
        """Whether one more recording may be heard."""
        self.sounds -= 1
        self.has_left_out = self.has_left_out or self.sounds < 0
        return self.sounds >= 0

    def take_text(self, text: str) -> str:
        """As much of a text as there is still room for."""
        kept = text[: max(self.characters, 0)]
        self.characters -= len(kept)
        self.has_left_out = self.has_left_out or len(kept) < len(text)
        return kept
