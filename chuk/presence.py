"""Which processes there are besides this one, and what they carry together."""

from __future__ import annotations

from typing import Protocol


class Presence(Protocol):
    """Knows of the other processes."""

    @property
    def others(self) -> int:
        """Open chat connections of all other processes, as of some seconds ago; asks nobody."""
        ...

    async def is_alive(self, process: str) -> bool:
        """Whether the process of this name has shown itself lately.

        True while nobody can tell.
        """
        ...


class OnlyOne:
    """The presence of a process that knows of no others."""

    others = 0

    async def is_alive(self, _process: str) -> bool:
        """Nobody else could be asked about."""
        return True
