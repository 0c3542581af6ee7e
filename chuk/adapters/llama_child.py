"""The process that holds the embedded model: llama.cpp's own HTTP server.

Started by `chuk.adapters.llama` as `python -m chuk.adapters.llama_child`. It reads one line of
JSON on standard input (`model`, `context_length`, `threads`, `api_key`) and prints one line of
JSON: `{"address": ...}` once it listens, or `{"problem": ...}` when it cannot. It ends when
standard input does, which is when its parent is gone.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import re
import resource
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

PARALLEL = 2
_BATCH = 256
_ERRORS_ONLY = 1
_HEAD = 64 * 2**20
_TEMPLATE = Path(__file__).with_name("llama_chat_template.jinja")
_EXPENDABLE = 200  # thousandths of all memory that may be used, on top of what it does use
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """Load, listen, and wait for the parent's end."""
    _die_with_parent()
    _go_before_the_server()
    # A core file would hold conversations.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    report = os.fdopen(os.dup(1), "w", encoding="utf-8")
    server: Any = None
    with tempfile.TemporaryFile() as log:
        # While it loads there is no conversation yet, and llama.cpp's log says what is wrong.
        _print_to(log.fileno())
        try:
            server = _serve(json.loads(sys.stdin.readline()))
            answer = {"address": server.listening_address}
        except ModuleNotFoundError:
            answer = {"problem": "llama.cpp is not installed: pip install 'chuk[local]'"}
        # An empty or unreadable file fails before llama.cpp sees it.
        except (ImportError, RuntimeError, OSError, ValueError) as error:
            answer = {"problem": f"llama.cpp cannot load the model: {_reason(log) or error}"}
    # From here on llama.cpp may print what people write, so nothing of it goes anywhere.
    silence = os.open(os.devnull, os.O_WRONLY)
    _print_to(silence)
    os.close(silence)
    report.write(json.dumps(answer) + "\n")
    report.close()
    if server is not None:
        sys.stdin.read()
    # Not a normal exit: llama.cpp's threads would be joined one by one, in mid-sentence.
    os._exit(0 if server is not None else 1)


def _serve(orders: dict[str, Any]) -> Any:
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = orders["model"]
    params.n_ctx = orders["context_length"] * PARALLEL
    params.n_parallel = PARALLEL
    # A long prompt is read in pieces, and between them the other conversation goes on.
    params.n_batch = params.n_ubatch = _BATCH
    params.fit_params = False
    # By default up to 8 GB of finished conversations stay in memory.
    params.cache_ram_mib = 0
    params.endpoint_slots = False
    params.ui = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [orders["api_key"]]
    threads = orders["threads"] or _cores()
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.verbosity = _ERRORS_ONLY
    params.use_jinja = True
    if not _has_template(Path(orders["model"])):
        _teach_to_chat(params)
    return llama.Server(params)


def _teach_to_chat(params: Any) -> None:
    """Make a base model answer: worked examples, where to stop, and calm sampling."""
    params.chat_template = _TEMPLATE.read_text("utf-8")
    # Those with an empty line match earlier, so that no line break is left at the answer's end.
    params.antiprompt = ["\n\nUser:", "\nUser:", "\n\nAssistant:", "\nAssistant:"]
    # Measured at temperature 0.7 on 14 questions asked five times: 59 of 70 answers were right,
    # and 41 with a penalty on repeated words instead.
    params.sampling.top_k = 20
    params.sampling.top_p = 0.6
    params.sampling.min_p = 0.2
    # Ends a loop of whole phrases. A penalty on single words does so too, but then the model
    # avoids the words of the question: it forgets names, and that 2+2 is 4.
    params.sampling.dry_multiplier = 2.0
    params.sampling.dry_allowed_length = 4


def _cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _print_to(descriptor: int) -> None:
    """Point standard output and standard error, C++'s too, at this descriptor."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def _reason(log: BinaryIO) -> str:
    """What llama.cpp said of why it cannot load, without its time stamps; empty if nothing."""
    log.seek(0)
    text = log.read().decode("utf-8", "replace")
    said = re.search(r"error loading model: (.+)", text) or re.search(r" E (.+)", text)
    return said[1].strip() if said else ""


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


def _go_before_the_server() -> None:
    """When memory is short, let the kernel take this process before the server that starts it anew.

    After those that read files, whose score is the highest there is: with much more on top, a model
    that is larger than half of the memory would be worth more than they are.
    """
    # Elsewhere there is no such file.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_EXPENDABLE))


if __name__ == "__main__":
    main()
