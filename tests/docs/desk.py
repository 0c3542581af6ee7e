"""Runs `chuk` for the shells of the tests: in processes forked from one that has it loaded.

A process that begins from nothing would spend seconds on imports, dozens of times over. What runs
is `chuk.cli.main` with the caller's own arguments, environment, folder and standard streams.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from chuk.cli import main

_CALLER = """#!{python} -SE
import json, os, socket, sys
desk = socket.socket(socket.AF_UNIX)
desk.connect({path!r})
order = {{"arguments": sys.argv[1:], "environ": dict(os.environ), "folder": os.getcwd()}}
socket.send_fds(desk, [json.dumps(order).encode()], [0, 1, 2])
code = desk.recv(16)
sys.exit(int(code or 70))
"""
_LONGEST_ORDER = 2**20


@contextmanager
def command_desk(folder: Path) -> Iterator[Path]:
    """A program that is `chuk`, as long as this lasts."""
    path, program = folder / "desk", folder / "chuk"
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(path)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        program.write_text(_CALLER.format(python=sys.executable, path=str(path)), "utf-8")
        program.chmod(0o755)
        yield program
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def serve(path: str) -> None:
    """Take one caller after the other; each gets a process of its own."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with closing(socket.socket(socket.AF_UNIX)) as door:
        door.bind(path)
        door.listen()
        os.write(1, b"ready\n")
        while True:
            caller, _ = door.accept()
            if os.fork() == 0:
                # Its children are its own to wait for.
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                data, streams, _, _ = socket.recv_fds(caller, _LONGEST_ORDER, 3)
                order = json.loads(data)
                os.environ.clear()
                os.environ.update(order["environ"])
                os.chdir(order["folder"])
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                try:
                    code = main(order["arguments"])
                except SystemExit as left:
                    code = left.code if isinstance(left.code, int) else 1
                sys.stdout.flush()
                sys.stderr.flush()
                caller.sendall(str(code).encode())
                os._exit(code)
            caller.close()


if __name__ == "__main__":
    serve(sys.argv[1])
