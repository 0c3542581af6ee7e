"""Many streams at a steady pace, read as cheaply as Python can, each token's delay measured.

A token carries the moment it was sent (see `paced_upstream`); the moment it was read is taken
from the same clock. The sockets are read straight from epoll: an event loop would cost as much as
some of the relays do.
"""

from __future__ import annotations

import gc
import random
import re
import select
import socket
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmark.contenders import Target
from benchmark.processes import keeping_time

_SENT = re.compile(rb"@(\d+)@")
_WAITED = re.compile(rb"=(\d+)=")
_DONE = b"[DONE]"
_READ_BYTES = 65_536
_SETTLING_NS = 700_000_000


class BadAnswer(Exception):
    """A relay answered with an error, or with less than was asked for."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many streams of how many tokens, how fast, and over how many seconds they start."""

    streams: int
    tokens: int
    tokens_per_second: int
    ramp: float

    @property
    def message(self) -> str:
        """The prompt that the paced upstream obeys."""
        return f"Write {self.tokens} tokens at {self.tokens_per_second} a second."

    @property
    def expected_seconds(self) -> float:
        """How long all of it takes without any delay."""
        return self.ramp + self.tokens / self.tokens_per_second


@dataclass(slots=True)
class Delivery:
    """What arrived, and when. Times are nanoseconds.

    Attributes:
        load: what was asked for.
        tokens: what they got.
        whole_streams: streams that got every token and their end.
        delays: from upstream's sending to the client's reading, while all streams were open.
        first_delays: the wait for the first token, less upstream's own part in it.
        cpu_seconds: the relay's processor time while all streams were open.
        foreign_seconds: what others took of the relay's core in that time.
        steady_tokens, steady_ns: what arrived in that time, and how long it was.
    """

    load: Load
    tokens: int = 0
    whole_streams: int = 0
    delays: array[int] = field(default_factory=lambda: array("q"))
    first_delays: array[int] = field(default_factory=lambda: array("q"))
    cpu_seconds: float = 0.0
    foreign_seconds: float = 0.0
    steady_tokens: int = 0
    steady_ns: int = 0

    @property
    def delivered(self) -> float:
        """The share of all tokens that arrived, in percent; only whole streams make it 100."""
        share = 100 * self.tokens / (self.load.streams * self.load.tokens)
        return share if self.whole_streams == self.load.streams else min(share, 99.9)

    @property
    def disturbance(self) -> float:
        """The share of the relay's core that other programs took, in percent."""
        # The kernel counts the core and the process each in its own steps of 10 ms.
        foreign = max(0.0, self.foreign_seconds)
        return 100 * foreign / (self.steady_ns / 1e9) if self.steady_ns else 0.0

    @property
    def pace(self) -> float:
        """How fast tokens arrived while all streams were open, in percent of what was asked."""
        if not self.steady_ns:
            return float("nan")
        asked = self.load.streams * self.load.tokens_per_second
        return 100 * self.steady_tokens / (self.steady_ns / 1e9) / asked

    @property
    def cpu_us_per_token(self) -> float:
        """The relay's processor time for each token, in microseconds."""
        return self.cpu_seconds * 1e6 / self.steady_tokens if self.steady_tokens else float("nan")


@dataclass(slots=True, eq=False)
class _Stream:
    sock: socket.socket
    starts: int
    asked: int = 0
    begun: bool = False
    tokens: int = 0
    rest: bytes = b""


def percentile(samples: Sequence[int], share: float) -> float:
    """The sample that this share (0 to 1) of all samples does not exceed, in milliseconds."""
    if not samples:
        return float("nan")
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6


@contextmanager
def open_sockets(target: Target, count: int) -> Iterator[list[socket.socket]]:
    """Connections to the target, closed at the end."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", target.port), timeout=10)
            sockets.append(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def whole_answer(target: Target, message: str) -> bytes:
    """The bytes of one answer, from its head to its end mark.

    Raises:
        BadAnswer: it is an error, or breaks off.
    """
    with open_sockets(target, 1) as (sock,):
        sock.sendall(target.request(message))
        answer = b""
        while _DONE not in answer:
            data = sock.recv(_READ_BYTES)
            answer += data
            status = answer.partition(b"\r\n")[0].decode("latin-1")
            if not data or " 200 " not in f"{status} ":
                raise BadAnswer(f"{target.name} answered {status!r} and {len(answer)} bytes")
    return answer


def drive(target: Target, load: Load) -> Delivery:
    """Put this load on the target, and wait until all is delivered or clearly will not be."""
    with open_sockets(target, load.streams) as sockets:
        gc.collect()
        gc.disable()
        try:
            with keeping_time():
                return _Run(target, load, sockets).run()
        finally:
            gc.enable()


class _Run:
    """One load on one target."""

    def __init__(self, target: Target, load: Load, sockets: Sequence[socket.socket]) -> None:
        self._process = target.process
        self._request = target.request(load.message)
        self._load = load
        self._delivery = Delivery(load)
        self._poll = select.epoll()
        self._started = time.monotonic_ns()
        # By chance, not evenly: an even ramp would put many streams in step with each other.
        chance = random.Random(len(sockets))
        starts = sorted(chance.uniform(0, load.ramp) for _ in sockets)
        self._streams: dict[int, _Stream] = {}
        for sock, start in zip(sockets, starts, strict=True):
            sock.setblocking(False)
            self._poll.register(sock.fileno(), select.EPOLLIN)
            self._streams[sock.fileno()] = _Stream(sock, self._started + int(start * 1e9))
        self._waiting = list(self._streams.values())[::-1]
        self._steady = False
        self._before = (0.0, 0.0)
        self._steady_since = 0
        self._last_begun = 0

    def run(self) -> Delivery:
        load, delivery = self._load, self._delivery
        deadline = self._started + int((load.expected_seconds * 1.5 + 3) * 1e9)
        while self._streams:
            now = time.monotonic_ns()
            if now > deadline:
                break
            while self._waiting and self._waiting[-1].starts <= now:
                self._ask(self._waiting.pop())
            if self._all_begun(now):
                self._steady, self._before = True, self._seconds()
                self._steady_since = time.monotonic_ns()
            for descriptor, _ in self._poll.poll(0.001 if self._waiting else 0.1, 256):
                self._read(self._streams[descriptor])
        self._end_steady()
        self._poll.close()
        return delivery

    def _all_begun(self, now: int) -> bool:
        """Whether this is the moment when every stream has been under way for a while."""
        delivery = self._delivery
        return (
            not self._steady
            and delivery.whole_streams == 0
            and len(delivery.first_delays) == self._load.streams
            and now >= self._last_begun + _SETTLING_NS
        )

    def _ask(self, stream: _Stream) -> None:
        stream.asked = time.monotonic_ns()
        stream.sock.send(self._request)

    def _read(self, stream: _Stream) -> None:
        try:
            data = stream.sock.recv(_READ_BYTES)
        except ConnectionError:
            data = b""
        now = time.monotonic_ns()
        if not data:
            self._end(stream)
            return
        if stream.rest or not data.endswith(b"\n"):
            data = stream.rest + data
            cut = data.rfind(b"\n") + 1
            stream.rest, data = data[cut:], data[:cut]
        sent = _SENT.findall(data)
        delivery = self._delivery
        if sent:
            stream.tokens += len(sent)
            delivery.tokens += len(sent)
            if self._steady:
                delivery.steady_tokens += len(sent)
                for moment in sent:
                    delivery.delays.append(now - int(moment))
            if not stream.begun and (waited := _WAITED.search(data)):
                stream.begun = True
                self._last_begun = now
                delivery.first_delays.append(now - stream.asked - int(waited[1]))
        if _DONE in data:
            self._end_steady()
            if stream.tokens == self._load.tokens:
                delivery.whole_streams += 1
            self._end(stream)

    def _end(self, stream: _Stream) -> None:
        del self._streams[stream.sock.fileno()]
        self._poll.unregister(stream.sock.fileno())

    def _end_steady(self) -> None:
        """The first stream is over: from here on the load falls."""
        if self._steady:
            self._steady = False
            self._delivery.steady_ns = time.monotonic_ns() - self._steady_since
            own, foreign = self._seconds()
            self._delivery.cpu_seconds = own - self._before[0]
            self._delivery.foreign_seconds = foreign - self._before[1]

    def _seconds(self) -> tuple[float, float]:
        """What the relay, and what everything else, has taken of the relay's core."""
        if self._process is None:
            return 0.0, 0.0
        return self._process.cpu_seconds(), self._process.foreign_seconds()
