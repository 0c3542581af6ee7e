"""The language model that the machine's host runs, for all who ask it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import orjson

from chuk.adapters.children import next_frame
from chuk.adapters.embedded.remote_worker import called
from chuk.adapters.openai_compatible import Address
from chuk.errors import ModelUnavailable
from chuk.logs import logger

_PAUSE = 0.25
_LONGEST_PAUSE = 5.0


class RemoteModel:
    """Follows where the model listens; implements `chuk.adapters.embedded.ports.LanguageModel`.

    Args:
        path: of the host's socket.
        data_dir, model_path, context_length, threads: see `chuk.adapters.llama.LlamaServer`.
    """

    # Of a process that is not ours.
    process_id: int | None = None

    def __init__(
        self,
        path: Path,
        *,
        data_dir: Path,
        model_path: Path | None,
        context_length: int,
        threads: int,
    ) -> None:
        self._path = path
        self._orders = {
            "data_dir": str(data_dir.absolute()),
            "model_path": None if model_path is None else str(model_path.absolute()),
            "context_length": context_length,
            "threads": threads,
        }
        self._address: Address | None = None
        self._problem = "the model has not been started"
        self._retry_at = 0.0
        # Set while it is known whether the model answers, which is not so while it loads.
        self._settled = asyncio.Event()
        self._settled.set()
        self._follower: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """See `LlamaServer.is_up`."""
        return self._address is not None

    def address(self) -> Address:
        """See `LlamaServer.address`."""
        if self._address is None:
            wait = self._retry_at - asyncio.get_running_loop().time()
            raise ModelUnavailable(retry_after=max(1, math.ceil(wait)))
        return self._address

    async def start(self) -> None:
        """See `LlamaServer.start`."""
        if self._follower is None:
            self._settled.clear()
            self._follower = asyncio.create_task(self._follow(), name="the host's model")

    async def ready(self) -> None:
        """See `LlamaServer.ready`."""
        await self._settled.wait()
        if self._address is None:
            raise ModelUnavailable(self._problem)

    async def close(self) -> None:
        """Follow it no longer; the host ends it when nobody does."""
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.cancel()
            await asyncio.wait({follower})
            self._address = None
            self._problem = "the model has been stopped"
            self._settled.set()

    async def _follow(self) -> None:
        """Hear of every change; call again whenever the host has gone."""
        pause = _PAUSE
        while True:
            try:
                reader, writer = await called(self._path, {"model": self._orders})
            except (EOFError, OSError):
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                pause = _PAUSE
                try:
                    while True:
                        _, body = await next_frame(reader)
                        self._hear(orjson.loads(body))
                except (EOFError, OSError):
                    logger("embedded").warning("the host has gone")
                finally:
                    writer.transport.abort()
            self._hear({})
            await asyncio.sleep(pause)

    def _hear(self, state: dict[str, Any]) -> None:
        """Take over what is said of the model; nothing said: it is on its way."""
        self._address = Address(state["url"], state["key"]) if "url" in state else None
        if "problem" in state:
            self._problem = state["problem"]
            self._retry_at = asyncio.get_running_loop().time() + state["retry_in"]
        if state:
            self._settled.set()
        else:
            self._settled.clear()
