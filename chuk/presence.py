"""Which processes there are besides this one, and what they carry together."""

from __future__ import annotations

from typing import Protocol


class Presence(Protocol):
    """Knows of the other processes."""

    @property
    def others(self) -> int:
        """Open chat connections of all other processes, as of some seconds ago; asks nobody."""
        ...


class OnlyOne:
    """The presence of a process that knows of no others."""

    others = 0
