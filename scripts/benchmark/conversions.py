"""Files sent to be converted: one by one, measured, or many at once, as a load.

`python -m benchmark.conversions PORT TOKEN FILE AT_ONCE` keeps so many under way until it is ended,
and prints a line for each that was answered.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmark.contenders import Target
from benchmark.paced_load import BadAnswer
from benchmark.plain_reading import largest_memory_kib

_BOUNDARY = "benchmark"
_PATH = "/v1/ai/convert-file"
_LOOK_EVERY = 0.002
# What stays and reads letters or listens; and what forks those that read one file each.
_WARM, _FORKS = b"chuk.adapters.child", b"chuk.adapters.fork_server_child"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What one took.

    Attributes:
        seconds: from the request's first byte to the answer's last.
        memory_kib: the most that a process of the server's had while it read the file.
    """

    seconds: float
    memory_kib: int


def convert(target: Target, file: Path) -> Conversion:
    """Send one file, as the app does.

    Raises:
        BadAnswer: it was not converted.
    """
    assert target.process is not None
    watch = _MemoryWatch(target.process.pid)
    with watch:
        began = time.perf_counter()
        _send(target.port, dict(target.headers), file)
        seconds = time.perf_counter() - began
    return Conversion(seconds, watch.most_kib)


def _send(port: int, headers: dict[str, str], file: Path) -> None:
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"'
        "\r\nContent-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + file.read_bytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        content_type = f"multipart/form-data; boundary={_BOUNDARY}"
        connection.request("POST", _PATH, body, {**headers, "Content-Type": content_type})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise BadAnswer(f"{file.name} was answered with {answer.status}: {text[:200]!r}")
    finally:
        connection.close()


class _MemoryWatch:
    """Looks at the children of a process while the block runs."""

    def __init__(self, parent: int) -> None:
        self.most_kib = 0
        self._parent = parent
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            for reader in _readers(self._parent):
                with suppress(FileNotFoundError, ProcessLookupError):
                    self.most_kib = max(self.most_kib, largest_memory_kib(reader))


def _readers(server: int) -> Iterator[int]:
    for child in _children(server):
        with suppress(FileNotFoundError, ProcessLookupError):
            # Until it has become another program, its memory is the server's.
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            if _WARM in words:
                yield child
            elif _FORKS in words:
                yield from _children(child)


def _children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(child) for child in listed.split()]


def main() -> None:
    """Be the load."""
    port, token, file, at_once = sys.argv[1:]

    def keep_sending() -> None:
        while True:
            _send(int(port), {"Authorization": token}, Path(file))
            print("converted", flush=True)

    threads = [threading.Thread(target=keep_sending) for _ in range(int(at_once))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
