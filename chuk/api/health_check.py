"""Whether chats can be served right now."""

from __future__ import annotations

from collections.abc import Callable


class HealthCheck:
    """Whether chats can be served right now.

    Args:
        parts: each tells whether a part that chats need is up.
    """

    def __init__(self, parts: dict[str, Callable[[], bool]]) -> None:
        self._parts = parts
        self.is_draining = False

    def status(self) -> str:
        """`ok`, `draining` or `unavailable`."""
        if self.is_draining:
            return "draining"
        return "ok" if all(is_up() for is_up in self._parts.values()) else "unavailable"
