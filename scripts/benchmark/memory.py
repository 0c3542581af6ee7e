"""What an open stream and an idle WebSocket hold of a relay's memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from benchmark.contenders import Target
from benchmark.paced_load import Load, drive, open_sockets, whole_answer
from benchmark.processes import Pinned

_WARM_UP = Load(streams=20, tokens=20, tokens_per_second=20, ramp=0.1)


class Refused(Exception):
    """A relay did not open what it was asked to open."""


def kib_per_open_stream(target: Target, count: int) -> float:
    """Growth of the proportional set size for each stream that is being answered."""
    process = _warmed_up(target)
    before = _settled(process)
    # Far longer than the measurement takes; closing the sockets ends the streams.
    request = target.request("Write 1000 tokens at 5 a second.")
    with open_sockets(target, count) as sockets:
        for sock in sockets:
            sock.sendall(request)
        _each_says(sockets, b"@", "a first token")
        return (_settled(process) - before) / count


def kib_per_idle_websocket(target: Target, count: int) -> float:
    """Growth of the proportional set size for each WebSocket that nothing happens on."""
    process = _warmed_up(target)
    with open_sockets(target, 20) as sockets:
        _upgrade(target, sockets)
    before = _settled(process)
    with open_sockets(target, count) as sockets:
        _upgrade(target, sockets)
        return (_settled(process) - before) / count


def _upgrade(target: Target, sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.sendall(target.upgrade())
    _each_says(sockets, b" 101 ", "an upgrade")


def _each_says(sockets: Sequence[socket.socket], mark: bytes, what: str) -> None:
    for sock in sockets:
        answer = b""
        while mark not in answer:
            data = sock.recv(65_536)
            if not data:
                raise Refused(f"closed before {what}: {answer[:200]!r}")
            answer += data


def _warmed_up(target: Target) -> Pinned:
    assert target.process is not None
    whole_answer(target, "Write 5 tokens at 50 a second.")
    drive(target, _WARM_UP)
    return target.process


def _settled(process: Pinned) -> int:
    """The memory once it changes by less than a fifth of a percent, in KiB."""
    last = process.memory_kib()
    for _ in range(20):
        time.sleep(0.3)
        now = process.memory_kib()
        if abs(now - last) <= last * 0.002:
            return now
        last = now
    return last
