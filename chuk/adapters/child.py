"""The process in which heavy or risky work is done.

It confines itself, and works with a module that has

    def answer(request: dict[str, Any]) -> dict[str, Any]
    def stream(request: dict[str, Any]) -> Iterator[bytes]     (a warm worker's, where needed)

Both raise a `ChukError` for what is wrong with their input (`CorruptFile()`, say): its code,
message and details reach the parent. Any other exception is our own failure. The module loads
what it needs at its first request and keeps it in its own globals.

A child for one job is forked by `chuk.adapters.fork_server_child`; its orders and its answer are
files of its folder. A warm worker is `python -m chuk.adapters.child`: it reads its orders as one
line of JSON from standard input, and each further line is a request; what comes of it is framed on
standard output: one byte for the kind, four for the length, and that many bytes. It ends when
standard input does.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from chuk.adapters.confinement import allow_cpu, confine, step_back
from chuk.errors import ChukError

ANSWER, PIECE, REFUSED, FAILED = b"A", b"P", b"R", b"F"
ORDERS_FILE, ANSWER_FILE = "orders", "answer"
"""Of a forked child, in its folder."""

_SPARE_SECONDS = 5


def main() -> None:
    """Be a warm worker, as the orders say."""
    step_back()
    orders = json.loads(sys.stdin.buffer.readline())
    confine(parent=orders["parent"], memory=orders["memory"], cpu=None)
    frames = os.fdopen(os.dup(1), "wb")
    # Libraries print, even what they read; nobody shall see it.
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _serve(orders, frames)
    # Not a normal exit: threads of native libraries would be waited for.
    os._exit(0)


def work_in(folder: Path, parent: int) -> None:
    """Answer the one request whose orders lie in a folder; of a process forked for just that."""
    orders = json.loads((folder / ORDERS_FILE).read_bytes())
    confine(parent=parent, memory=orders["memory"], cpu=orders["cpu"])
    # Should the parent be gone without the kernel having told us.
    signal.alarm(math.ceil(orders["timeout"]) + _SPARE_SECONDS)
    kind, body = _result(orders["module"], orders["request"])
    # Under its name only when it is whole.
    unfinished = folder / f"{ANSWER_FILE}.part"
    unfinished.write_bytes(kind + body)
    unfinished.rename(folder / ANSWER_FILE)
    os._exit(0)


def _serve(orders: dict[str, Any], frames: BinaryIO) -> None:
    def put(kind: bytes, body: bytes) -> None:
        frames.write(kind + len(body).to_bytes(4, "big") + body)
        frames.flush()

    for line in sys.stdin.buffer:
        call = json.loads(line)
        allow_cpu(orders["cpu"])
        if call["streams"]:
            put(*_result(orders["module"], call["request"], lambda piece: put(PIECE, piece)))
        else:
            put(*_result(orders["module"], call["request"]))


def _result(
    module_name: str, request: dict[str, Any], on_piece: Callable[[bytes], None] | None = None
) -> tuple[bytes, bytes]:
    """What came of one request: a kind, and its JSON."""
    try:
        module = importlib.import_module(module_name)
        if on_piece is None:
            return ANSWER, json.dumps(module.answer(request)).encode()
        for piece in module.stream(request):
            on_piece(piece)
    except ChukError as error:
        said = {"code": error.code, "message": error.message, "details": error.details}
        return REFUSED, json.dumps(said).encode()
    except Exception as error:
        return FAILED, json.dumps(_where(error)).encode()
    return ANSWER, b"{}"


def _where(error: Exception) -> str:
    """The kind of an exception and the last line of our own that it passed; never its text."""
    place = "nowhere"
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if f"{os.sep}chuk{os.sep}" in code.co_filename:
            place = f"{Path(code.co_filename).name}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {place}"


if __name__ == "__main__":
    main()
