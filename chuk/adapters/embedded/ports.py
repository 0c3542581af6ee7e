"""What the adapters need of a process that stays, whoever started it: this process or the host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from chuk.adapters.openai_compatible import Address


class Worker(Protocol):
    """See `chuk.adapters.children.WarmWorker`, which says it all."""

    @property
    def process_id(self) -> int | None:
        """The process's id while there is one and it is a child of this process."""
        ...

    async def ask(self, request: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """The module's answer to one request; cancelling ends the work."""
        ...

    def stream(self, request: Mapping[str, Any], *, timeout: float) -> AsyncIterator[bytes]:
        """The pieces of one answer; leaving early ends the work."""
        ...

    async def close(self) -> None:
        """No more jobs; those that run fail. Idempotent."""
        ...


class MakeWorker(Protocol):
    """Makes a worker; nothing is started yet."""

    def __call__(self, module: str, *, memory: int, idle: float, cpu: float = 240.0) -> Worker: ...


class LanguageModel(Protocol):
    """See `chuk.adapters.llama.LlamaServer`, which says it all."""

    @property
    def is_up(self) -> bool:
        """Whether the model can be asked right now."""
        ...

    @property
    def process_id(self) -> int | None:
        """The process's id while there is one and it is a child of this process."""
        ...

    def address(self) -> Address:
        """Where to ask.

        Raises:
            ModelUnavailable: the model is loading, or has died and is being restarted.
        """
        ...

    async def start(self) -> None:
        """Begin to load; returns at once."""
        ...

    async def ready(self) -> None:
        """Wait until the model can be asked.

        Raises:
            ModelUnavailable: it could not be loaded, or was stopped.
        """
        ...

    async def close(self) -> None:
        """End what was started. Idempotent."""
        ...


class MakeLanguageModel(Protocol):
    """Makes a language model; nothing is started yet."""

    def __call__(
        self, *, data_dir: Path, model_path: Path | None, context_length: int, threads: int
    ) -> LanguageModel: ...
