"""An upstream that answers at the pace it is asked for: one chunk for each token.

Run as a program: `python -m benchmark.paced_upstream PORT`. The prompt says how much and how
fast ("80 tokens at 10 a second"). Each chunk's text carries the moment it was sent, on the clock
that all processes of a machine share (`time.monotonic_ns`), as `@<ns>@`; the first one also how
long the upstream itself waited before it, as `=<ns>=`.

One thread without an event loop: it sleeps until the next token is due, to some 10 µs where
asyncio's timers know only milliseconds, so that tokens arrive one by one and not in bursts.
"""

from __future__ import annotations

import ctypes
import heapq
import re
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass

from benchmark import answers

_ASKED = re.compile(rb"(\d+) tokens at (\d+) a second")
_PR_SET_TIMERSLACK = 29
_LONGEST_NAP = 0.0002
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_END = b"0\r\n\r\n"
_MARK = "\0"
_WORDS = [answers.json_text(word) for word in answers.words(997, seed=97)]


@dataclass(slots=True, eq=False)
class Connection:
    """One relay's connection, and the answer that is under way on it.

    `period` and `asked` are nanoseconds; `left` counts the tokens still to send; `unsent` is
    what the kernel would not take yet.
    """

    sock: socket.socket
    received: bytes = b""
    unsent: bytes = b""
    asked: int = 0
    period: int = 0
    left: int = 0
    begun: bool = False
    words: int = 0
    closed: bool = False


class PacedUpstream:
    """Accepts requests and sends what is due."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._poll = select.epoll()
        self._poll.register(self._listener.fileno(), select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        # (when due, a number that orders equals, whose)
        self._due: list[tuple[int, int, Connection]] = []
        self._order = 0
        # One real chunk, cut where its text is.
        before, _, after = answers.chunk(_MARK).partition(rb"\u0000")
        self._before, self._after = before, after + b"\r\n"
        self._frame_bytes = len(before) + len(after)
        self._catalogue = answers.catalogue()

    def run(self) -> None:
        """Serve until the process is ended."""
        while True:
            self._send_due()
            for descriptor, _ in self._poll.poll(0 if self._due else -1):
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._read(self._connections[descriptor])
            if self._due:
                gap = (self._due[0][0] - time.monotonic_ns()) / 1e9
                if gap > 0:
                    time.sleep(min(gap, _LONGEST_NAP))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections[sock.fileno()] = Connection(sock)
            self._poll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(262_144)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._close(connection)
            return
        connection.received += data
        head, found, body = connection.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if len(body) < (int(length[1]) if length else 0):
            return
        connection.received = b""
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            self._write(connection, self._page(path.decode().removeprefix("/api/v1")))
        else:
            self._begin(connection, body)

    def _page(self, path: str) -> bytes:
        body = self._catalogue.get(path)
        if body is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    def _begin(self, connection: Connection, body: bytes) -> None:
        found = _ASKED.search(body)
        tokens, rate = (int(found[1]), int(found[2])) if found else (answers.TOKENS, 50)
        connection.asked = time.monotonic_ns()
        connection.period = 1_000_000_000 // rate
        connection.left, connection.begun = tokens, False
        self._plan(connection, connection.asked + connection.period)

    def _plan(self, connection: Connection, due: int) -> None:
        self._order += 1
        heapq.heappush(self._due, (due, self._order, connection))

    def _send_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic_ns():
            due, _, connection = heapq.heappop(self._due)
            if connection.closed:
                continue
            if connection.left == 0:
                # Only what the kernel would not take before.
                self._write(connection, b"")
                if connection.unsent:
                    self._plan(connection, due + connection.period)
                continue
            connection.left -= 1
            last = connection.left == 0
            connection.words = (connection.words + 1) % len(_WORDS)
            word = _WORDS[connection.words]
            now = time.monotonic_ns()
            if connection.begun:
                text = b"@%d@%b" % (now, word)
                head = b""
            else:
                text = b"@%d@=%d=%b" % (now, now - connection.asked, word)
                head, connection.begun = _HEAD, True
            size = self._frame_bytes + len(text)
            end = b"%x\r\n%b\r\n%b" % (len(answers.CLOSING), answers.CLOSING, _END) if last else b""
            self._write(
                connection,
                b"%b%x\r\n%b%b%b%b" % (head, size, self._before, text, self._after, end),
            )
            if not last or connection.unsent:
                self._plan(connection, due + connection.period)

    def _write(self, connection: Connection, data: bytes) -> None:
        if connection.unsent:
            data = connection.unsent + data
        try:
            sent = connection.sock.send(data)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self._close(connection)
            return
        connection.unsent = data[sent:]

    def _close(self, connection: Connection) -> None:
        if not connection.closed:
            connection.closed = True
            self._poll.unregister(connection.sock.fileno())
            del self._connections[connection.sock.fileno()]
            connection.sock.close()


def main() -> None:
    """Serve on the port that the command line names."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Without this the kernel rounds every sleep up by 50 µs.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    PacedUpstream(int(sys.argv[1])).run()


if __name__ == "__main__":
    main()
