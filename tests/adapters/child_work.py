"""What the children of these tests do; they import this module as any other one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chuk.errors import CorruptFile, UnsupportedFormat

_jobs = 0


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do one of the things below."""
    global _jobs  # noqa: PLW0603
    _jobs += 1
    todo: Any = globals()[f"_{request['todo']}"]
    result: dict[str, Any] = todo(request)
    return result


def stream(request: dict[str, Any]) -> Iterator[bytes]:
    """Pieces of the lengths asked for, and then perhaps an end of another kind."""
    for length in request["lengths"]:
        yield b"x" * length
    if "then" in request:
        answer({**request, "todo": request["then"]})


def _tell(_request: dict[str, Any]) -> dict[str, Any]:
    """What this process is."""
    return {
        "process": os.getpid(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "policy": os.sched_getscheduler(0),
        "jobs": _jobs,
        "folder": str(Path.cwd()),
        "environment": sorted(os.environ),
    }


def _loaded(request: dict[str, Any]) -> dict[str, Any]:
    """Which of these modules were there before."""
    return {"loaded": [name for name in request["modules"] if name in sys.modules]}


def _echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"said": request["say"]}


def _print(_request: dict[str, Any]) -> dict[str, Any]:
    print("what somebody wrote")  # noqa: T201
    print("what somebody wrote", file=sys.stderr)  # noqa: T201
    os.write(1, b"A\0\0\0\2{}")
    return {"said": "nothing"}


def _corrupt(_request: dict[str, Any]) -> dict[str, Any]:
    raise CorruptFile("It has no end.")


def _unsupported(_request: dict[str, Any]) -> dict[str, Any]:
    raise UnsupportedFormat("exe", ("pdf",))


def _stumble(_request: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("what somebody wrote")


def _half_a_letter(_request: dict[str, Any]) -> dict[str, Any]:
    return {"said": "\ud800"}


def _die(_request: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _leave(request: dict[str, Any]) -> dict[str, Any]:
    os._exit(request["code"])


def _gobble(_request: dict[str, Any]) -> dict[str, Any]:
    return {"length": len(bytearray(2**34))}


def _spin(_request: dict[str, Any]) -> dict[str, Any]:
    while True:
        pass


def _write_much(_request: dict[str, Any]) -> dict[str, Any]:
    """A sparse file costs nothing, and its length counts all the same."""
    with Path("much").open("wb") as file:
        file.truncate(2**30)
    return {}


def _open_many(_request: dict[str, Any]) -> dict[str, Any]:
    return {"open": len([Path(os.devnull).open() for _ in range(5_000)])}


def _connect(request: dict[str, Any]) -> dict[str, Any]:
    """How far the network is from here: the error number, or 0."""
    try:
        with socket.create_connection(("127.0.0.1", request["port"]), timeout=5):
            return {"error": 0}
    except OSError as error:
        return {"error": error.errno}


def _wait(request: dict[str, Any]) -> dict[str, Any]:
    """Tell who works here, with a helper of its own; then never come back."""
    helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if request.get("wanders"):
        # As one would that wants to outlive its end.
        os.setpgid(0, os.getpgid(os.getppid()))
    note = Path(request["note"])
    note.with_suffix(".part").write_text(f"{os.getpid()} {helper.pid}")
    note.with_suffix(".part").rename(note)
    while True:
        time.sleep(60)
