"""What the commands need of an application besides running it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the server, as `chuk doctor` shows it.

    Attributes:
        using: which service or embedded stand-in serves it.
        check: asks it; returns what it found, or raises.
    """

    name: str
    using: str
    check: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Wiring:
    """How to reach into an application from outside.

    Attributes:
        ready: returns once chats can be served.
        close: ends what `build_app` itself opened; an application that ran does so by itself.
    """

    parts: list[Part]
    ready: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]
