"""A warm worker that the machine's host keeps, for all who have a job for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from chuk.adapters.child import PIECE
from chuk.adapters.children import ChildFailed, ChildTimeout, answered, framed, next_frame
from chuk.adapters.embedded.wire import CALL, HEARD, LATE, short_path

# A host that has just died is back within a second; one that hangs is none.
_PATIENCE = 20.0


async def called(
    path: Path, call: Mapping[str, Any]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the host that has heard what it is for.

    Raises:
        EOFError, OSError, TimeoutError: there is no host just now.
    """
    async with asyncio.timeout(_PATIENCE):
        with short_path(path) as name:
            reader, writer = await asyncio.open_unix_connection(name)
        try:
            writer.write(framed(CALL, json.dumps(call).encode()))
            await writer.drain()
            kind, _ = await next_frame(reader)
            if kind != HEARD:
                raise EOFError
        except BaseException:
            writer.close()
            raise
    return reader, writer


class RemoteWorker:
    """Implements `chuk.adapters.embedded.ports.Worker`; its jobs wait for those of everybody else.

    Args:
        path: of the host's socket.
        module, memory, idle, cpu: see `chuk.adapters.children.WarmWorker`.
    """

    # Of a process that is not ours.
    process_id: int | None = None

    def __init__(
        self, path: Path, module: str, *, memory: int, idle: float, cpu: float = 240.0
    ) -> None:
        self._path = path
        self._module = module
        self._orders = {"module": module, "memory": memory, "idle": idle, "cpu": cpu}
        self._connections: set[asyncio.StreamWriter] = set()
        self._is_closed = False

    async def ask(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """See `WarmWorker.ask`."""
        async with aclosing(self._frames(request, timeout, streams=False)) as frames:
            kind, body = await anext(frames)
        return answered(self._module, kind, body)

    async def stream(self, request: Mapping[str, Any], *, timeout: float) -> AsyncIterator[bytes]:
        """See `WarmWorker.stream`."""
        async with aclosing(self._frames(request, timeout, streams=True)) as frames:
            async for kind, body in frames:
                if kind == PIECE:
                    yield body
                else:
                    answered(self._module, kind, body)

    async def close(self) -> None:
        """See `WarmWorker.close`; the process itself stays, for the others."""
        self._is_closed = True
        for connection in self._connections:
            connection.transport.abort()

    async def _frames(
        self, request: Mapping[str, Any], timeout: float, *, streams: bool
    ) -> AsyncGenerator[tuple[bytes, bytes], None]:
        if self._is_closed:
            raise ChildFailed(f"{self._module} has been stopped")
        call = {
            "worker": self._orders,
            "request": request,
            "streams": streams,
            "timeout": timeout,
        }
        try:
            reader, writer = await called(self._path, call)
        except (EOFError, OSError):
            # A `TimeoutError` is an `OSError`.
            raise ChildFailed(f"{self._module} cannot be reached") from None
        self._connections.add(writer)
        try:
            kind = PIECE
            while kind == PIECE:
                # Not timed: how long it waits for its turn, only the host knows, who times it.
                kind, body = await next_frame(reader)
                if kind == LATE:
                    raise ChildTimeout(f"{self._module} took more than {timeout:g} s")
                yield kind, body
        except (EOFError, OSError):
            raise ChildFailed(f"{self._module} died") from None
        finally:
            self._connections.discard(writer)
            writer.transport.abort()
