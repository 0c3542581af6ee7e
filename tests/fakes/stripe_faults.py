"""How the stand-in for Stripe fails, and how it can be held back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Fault(Enum):
    """What goes wrong with a request."""

    CARD = "a card is declined"
    INVALID = "the request is refused"
    KEY = "our key is refused"
    BUSY = "too many requests"
    BROKEN = "a 500"
    DOWN = "the connection breaks before anything is done"
    LOST = "it is done, and the connection breaks before the answer"
    SLOW = "no answer until `release` is set"
    NONSENSE = "a web page"
    EMPTY = "JSON that is no object of Stripe's"
    CUT = "an answer that breaks off"


ERRORS: dict[Fault, tuple[int, dict[str, Any]]] = {
    Fault.CARD: (402, {"type": "card_error", "code": "card_declined", "message": "Declined."}),
    Fault.INVALID: (400, {"type": "invalid_request_error", "message": "No.", "param": "price"}),
    Fault.KEY: (401, {"type": "invalid_request_error", "message": "Invalid API Key provided"}),
    Fault.BUSY: (429, {"type": "invalid_request_error", "code": "rate_limit", "message": "Slow"}),
    Fault.BROKEN: (500, {"type": "api_error", "message": "An unknown error occurred"}),
}


class Refused(Exception):
    """An error of the API itself."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"type": kind, "message": message, "code": code, "param": param}}


@dataclass
class Planned:
    """A fault for the next requests that fit.

    Attributes:
        path: what the path must begin with.
        times: how many requests meet it; None: all.
    """

    fault: Fault
    path: str
    method: str | None
    times: int | None

    def fits(self, method: str, path: str) -> bool:
        return self.times != 0 and path.startswith(self.path) and self.method in (None, method)

    def use(self) -> Fault:
        if self.times is not None:
            self.times -= 1
        return self.fault


@dataclass
class Gate:
    """Holds back the answer to one request, whose work is done by then.

    Attributes:
        reached: set once the answer is ready and waits.
    """

    path: str
    method: str | None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        """Let the answer go."""
        self._open.set()

    async def pass_through(self) -> None:
        self.reached.set()
        await self._open.wait()
