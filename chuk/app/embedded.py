"""Who runs the embedded parts: this process for itself, or the machine's host for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chuk.adapters.children import WarmWorker
from chuk.adapters.embedded.ports import MakeLanguageModel, MakeWorker
from chuk.adapters.embedded.remote_model import RemoteModel
from chuk.adapters.embedded.remote_worker import RemoteWorker
from chuk.adapters.llama import LlamaServer


@dataclass(frozen=True, slots=True)
class Embedded:
    """Makes what stands for a process with a model in it; nothing is started by that."""

    make_worker: MakeWorker = WarmWorker
    make_language_model: MakeLanguageModel = LlamaServer


ALONE = Embedded()


def at_host(path: Path) -> Embedded:
    """The parts of the host that listens at this path."""
    return Embedded(partial(RemoteWorker, path), partial(RemoteModel, path))
