"""Which process does the jobs that one process does for all."""

from __future__ import annotations

from typing import Protocol


class Leadership(Protocol):
    """Says whether this process leads."""

    @property
    def leads(self) -> bool:
        """Whether to do such a job now. May change from one moment to the next.

        Two processes may both lead for a moment, so each job must be safe to run twice; that
        nobody does is what the lease is for.
        """
        ...


class Alone:
    """The leadership of a process that knows of no others."""

    leads = True


ALONE = Alone()
