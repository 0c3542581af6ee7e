"""The process that holds the embedded model: llama.cpp's own HTTP server.

Started by `chuk.adapters.llama` as `python -m chuk.adapters.llama_child`. It reads one line of
JSON on standard input (`model`, `context_length`, `threads`, `api_key`), prints one line with its
address once it listens, and ends when standard input does, which is when its parent is gone.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import signal
import sys
from pathlib import Path
from typing import Any

PARALLEL = 2
_HEAD = 64 * 2**20
_TEMPLATE = Path(__file__).with_name("llama_chat_template.jinja")
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """Load, listen, and wait for the parent's end."""
    _die_with_parent()
    # llama.cpp prints progress and, at some levels, prompts: nothing of it may be seen. Its own
    # descriptors are pointed away; ours for the address is kept.
    report = os.fdopen(os.dup(1), "w")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    orders = json.loads(sys.stdin.readline())
    server = _serve(orders)
    report.write(json.dumps({"address": server.listening_address}) + "\n")
    report.flush()
    sys.stdin.read()
    # Not a normal exit: llama.cpp's threads would be joined one by one, in mid-sentence.
    os._exit(0)


def _serve(orders: dict[str, Any]) -> Any:
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = orders["model"]
    params.n_ctx = orders["context_length"] * PARALLEL
    params.n_parallel = PARALLEL
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [orders["api_key"]]
    threads = orders["threads"] or os.cpu_count() or 1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    # Small models fall into repeating themselves; a request may still ask for something else.
    params.sampling.penalty_repeat = 1.1
    params.sampling.penalty_last_n = 256
    params.sampling.dry_multiplier = 0.8
    params.use_jinja = True
    if not _has_template(Path(orders["model"])):
        params.chat_template = _TEMPLATE.read_text("utf-8")
        params.antiprompt = ["\nUser:", "\n\nUser", "\nAssistant:"]
    return llama.Server(params)


def _has_template(model: Path) -> bool:
    """Whether a GGUF file says how a conversation is written for it.

    A base model does not; llama.cpp would then use a form that it was never trained on. The
    names of metadata stand in the file's head in plain text.
    """
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as head:
        return head.find(b"tokenizer.chat_template", 0, _HEAD) >= 0


def _die_with_parent() -> None:
    """Where the kernel can, let it end this process with its parent, whatever happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    main()
