"""What every stand-in for an outside service is: a server on a free port, mostly watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from aiohttp import web


class Outcome(Protocol):
    """A request as it came, whose `outcome` is `open` until it is known what became of it."""

    outcome: str


class FakeServer:
    """A server from `async with` to its end. What it is comes from `_application`.

    Attributes:
        release: set it to let held, stalled and hanging answers go on.
        address: `http://host:port`, while it runs.
    """

    # Whether it gives up what a client that left has asked for. One that keeps books must not.
    hears_who_leaves: ClassVar[bool] = False

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.address = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(
            self._application(),
            handler_cancellation=self.hears_who_leaves,
            access_log=None,
            shutdown_timeout=1.0,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        """Its routes."""
        raise NotImplementedError


class FakeService(FakeServer):
    """A server that knows what becomes of its answers.

    Attributes:
        disconnects: answers that their client left.
    """

    hears_who_leaves = True

    def __init__(self) -> None:
        super().__init__()
        self.disconnects = 0
        self._changed = asyncio.Event()
        self._handlers: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition, looked at after each change here, holds."""
        async with asyncio.timeout(30):
            while not condition():
                await self._changed.wait()

    async def wait_for_disconnect(self, count: int = 1) -> None:
        """Wait until this many answers were left by their client."""
        await self.wait_until(lambda: self.disconnects >= count)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        for handler in self._handlers:
            handler.cancel()
        await super().__aexit__(kind, error, trace)

    def _notify(self) -> None:
        """Something has changed."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextmanager
    def _answering(self, record: Outcome, *, counts: bool = True) -> Iterator[None]:
        """Know of a request until it is answered; note in its record when its client leaves.

        Args:
            counts: whether that is a disconnect.
        """
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            if not self._closing and record.outcome == "open":
                record.outcome = "disconnected"
                self.disconnects += counts
            raise
        finally:
            self._handlers.discard(task)
            self._notify()
