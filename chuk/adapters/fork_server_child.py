"""The small process that one-shot children are forked from; started by `chuk.adapters.fork_server`.

It has loaded what the children need, sees nothing that anybody sent, and has one thread: whatever
a fork copies is whole. It reads its orders as one line of JSON, says `ready`, and then takes lines:

    fork <number> <folder>   → `forked <number> <process>` or `failed <number>`
    end <process>            kills the child with all that it started

and says `ended <process> <code>` of each child that is over, whose helpers are ended then too. The
child finds its own orders in the folder, see `chuk.adapters.child.work_in`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from chuk.adapters.child import work_in
from chuk.adapters.confinement import die_with, end_group, step_back

_CONTROL = 0
_READ_AT_ONCE = 65_536
_MOST_DESCRIPTORS = 256


class _Nursery:
    """The children that live."""

    def __init__(self) -> None:
        self._children: set[int] = set()
        # A signal that arrives between two waits is not missed: it leaves a byte here.
        self.woken, self._wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(self._wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)

    def fork(self, number: str, folder: str) -> None:
        parent = os.getpid()
        ready, started = os.pipe()
        try:
            child = os.fork()
        except OSError:
            child = -1
        if child == 0:
            _be_child(folder, parent, started)
        os.close(started)
        if child > 0:
            self._children.add(child)
            # Until it has a group of its own it could not be ended with all that it starts.
            os.read(ready, 1)
        os.close(ready)
        _say(f"forked {number} {child}" if child > 0 else f"failed {number}")

    def end(self, child: int) -> None:
        if child in self._children:
            end_group(child)

    def bury(self) -> None:
        """Tell of those that are over."""
        with suppress(BlockingIOError):
            os.read(self.woken, _READ_AT_ONCE)
        for child in tuple(self._children):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                self._children.discard(child)
                # What it started and left behind still has its group, which is nobody else's then.
                end_group(child, is_buried=True)
                _say(f"ended {child} {os.waitstatus_to_exitcode(status)}")


def main() -> None:
    """Load what the orders say, then fork until the server is gone."""
    step_back()
    orders = json.loads(_line())
    die_with(orders["parent"])
    for module in orders["preload"]:
        # What is not installed, a child says itself when it is asked for it.
        with suppress(ImportError):
            importlib.import_module(module)
    gc.collect()
    # Looking through what was loaded would copy it into each child.
    gc.freeze()
    nursery = _Nursery()
    selector = selectors.DefaultSelector()
    selector.register(_CONTROL, selectors.EVENT_READ)
    selector.register(nursery.woken, selectors.EVENT_READ)
    _say("ready")
    rest = b""
    while True:
        ready = {key.fd for key, _ in selector.select()}
        if _CONTROL in ready:
            data = os.read(_CONTROL, _READ_AT_ONCE)
            if not data:
                os._exit(0)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                word, *words = line.decode().split(" ", 2)
                if word == "fork":
                    nursery.fork(*words)
                else:
                    nursery.end(int(words[0]))
        nursery.bury()


def _be_child(folder: str, parent: int, started: int) -> None:
    """Work in the folder; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgrp()
        os.write(started, b".")
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        # All of ours: the pipes, and what is waited with.
        os.closerange(3, _MOST_DESCRIPTORS)
        os.chdir(folder)
        tempfile.tempdir = folder
        for name in ("HOME", "TMPDIR"):
            os.putenv(name, folder)
        work_in(Path(folder), parent)
    finally:
        os._exit(1)


def _line() -> bytes:
    """One line, and not a byte of what follows it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(_CONTROL, 1)
        if not byte:
            os._exit(0)
        line += byte
    return bytes(line)


def _say(line: str) -> None:
    data = line.encode() + b"\n"
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
