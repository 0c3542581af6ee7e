"""The three relays: how each is started, and how each is asked for an answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark import answers
from benchmark.processes import (
    Pinned,
    StartFailed,
    accepts,
    clean_environment,
    free_port,
    keep_time,
)

CHUK = "chuk"
BARE = "bare"
FASTAPI = "fastapi"
DIRECT = "direct"
LIBRARY = "library"
RELAYS = (CHUK, BARE, FASTAPI)

CHECKOUT = Path(__file__).resolve().parents[2]

_NO_LIMIT = "1000000000"
_USER = "7a1e0d52-3c7b-4b0e-9f6d-2b8f4c5a9e10"
_MONEY = "10000"
_PACKAGES = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Target:
    """Something on a port of the loopback address that answers a chat request.

    Attributes:
        process: None for an upstream that is asked without a relay between.
        is_openai: whether it is asked in OpenAI's words, not in our own.
    """

    name: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    process: Pinned | None = None
    is_openai: bool = False

    def body(self, message: str) -> bytes:
        """The JSON of a chat request."""
        return openai_body(message) if self.is_openai else body(message)

    def request(self, message: str) -> bytes:
        """The bytes of a whole chat request."""
        content = self.body(message)
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content

    def upgrade(self) -> bytes:
        """The bytes that open a WebSocket for chat."""
        lines = [
            f"GET {self.path}/ws HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            # What browsers and most libraries offer; a server is free to decline.
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"


def body(message: str) -> bytes:
    """The JSON of one chat request."""
    return json.dumps(
        {
            "model_id": answers.MODEL,
            "message": message,
            "provider_slug": answers.PROVIDER,
            "max_tokens": 4096,
        }
    ).encode()


def openai_body(message: str) -> bytes:
    """The JSON of the same request as OpenAI has it."""
    return json.dumps(
        {
            "model": answers.MODEL,
            "messages": [{"role": "user", "content": message}],
            "max_tokens": 4096,
            "stream": True,
        }
    ).encode()


def direct(upstream_port: int) -> Target:
    """The upstream itself: the floor under every delay."""
    return Target(DIRECT, upstream_port, "/api/v1/chat/completions", ())


def start_paced_upstream(port: int, *, cores: Sequence[int], folder: Path) -> Pinned:
    """Start the paced upstream on this port; it is ready when this returns.

    Raises:
        StartFailed: it did not come up.
    """
    process = Pinned(
        "paced-upstream",
        [sys.executable, "-m", "benchmark.paced_upstream", str(port)],
        cores=cores,
        folder=folder,
        environment={"PYTHONPATH": str(_PACKAGES)},
    )
    await_port(process, port)
    keep_time(process.pid)
    return process


def start(name: str, upstream_port: int, *, cores: Sequence[int], folder: Path) -> Target:
    """Start a relay before this upstream; it is ready when this returns.

    Raises:
        StartFailed: the relay did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if name == CHUK:
        return _start_chuk(upstream_port, cores, folder)
    port = free_port()
    upstream = str(upstream_port) if name == BARE else upstream_url(upstream_port)
    module = "benchmark.byte_relay" if name == BARE else "benchmark.fastapi_relay"
    process = Pinned(
        name,
        [sys.executable, "-m", module, str(port), upstream],
        cores=cores,
        folder=folder,
        environment={"PYTHONPATH": str(_PACKAGES)},
    )
    await_port(process, port)
    path = "/api/v1/chat/completions" if name == BARE else "/v1/ai/chat"
    return Target(name, port, path, (), process)


def _start_chuk(upstream_port: int, cores: Sequence[int], folder: Path) -> Target:
    """This server as it is deployed: with its token check, its limits, its books and its log."""
    return start_chuk(["-m", "chuk", "serve"], upstream_port, cores=cores, folder=folder)


def start_chuk(
    program: Sequence[str],
    upstream_port: int,
    *,
    cores: Sequence[int],
    folder: Path,
    name: str = CHUK,
    settings: Mapping[str, str] | None = None,
) -> Target:
    """Start this server, and give the user who will ask it money for a long time.

    Args:
        program: what Python runs.
        settings: more variables for it.

    Raises:
        StartFailed: it did not come up.
    """
    port = free_port()
    environment = {
        "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(_PACKAGES))),
        "CHUK_HOST": "127.0.0.1",
        "CHUK_PORT": str(port),
        "CHUK_DATA_DIR": str(folder / f"{name}-data"),
        "CHUK_SHUTDOWN_GRACE": "1",
        "CHUK_LIMIT_CHAT": _NO_LIMIT,
        "CHUK_LIMIT_SOCKETS": _NO_LIMIT,
        "CHUK_LIMIT_FILE": _NO_LIMIT,
        # Else every answer after the first few would be a refusal.
        "CHUK_LIMIT_OTHER": _NO_LIMIT,
        "CHUK_LIMIT_ADDRESS": _NO_LIMIT,
        "OPENROUTER_API_KEY": "x",
        "OPENROUTER_BASE_URL": upstream_url(upstream_port),
        **(settings or {}),
    }
    # The repository's configuration, but not the `.env` of whoever works in it.
    home = folder / f"{name}-home"
    home.mkdir(parents=True)
    (home / "config").symlink_to(CHECKOUT / "config")
    process = Pinned(
        name,
        [sys.executable, *program],
        cores=cores,
        folder=folder,
        environment=environment,
        home=home,
    )
    await_port(process, port, models=f"http://127.0.0.1:{port}/v1/models_info")
    try:
        # Else every answer after the free messages would be a refusal.
        _command(["grant", _USER, _MONEY], environment, home)
        token = _command(["token", "--user", _USER], environment, home)
    except BaseException:
        process.stop()
        raise
    return Target(name, port, "/v1/ai/chat", (("Authorization", f"Bearer {token}"),), process)


def _command(arguments: Sequence[str], environment: Mapping[str, str], home: Path) -> str:
    """Run one of this server's commands; returns what it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "chuk", *arguments],
        env=clean_environment(environment),
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise StartFailed(f"chuk {arguments[0]} failed:\n{ran.stderr}")
    return ran.stdout.strip()


def await_port(
    process: Pinned, port: int, *, models: str | None = None, seconds: float = 30
) -> None:
    """Wait for the port, and where there is a list of models, for ours to be in it.

    Raises:
        StartFailed: it did not come up in time.
    """
    try:
        process.wait_until(
            lambda: accepts(port) if models is None else _lists_model(models), seconds=seconds
        )
    except BaseException:
        process.stop()
        raise


def _lists_model(url: str) -> bool:
    # A proxy that the environment names must not be asked for the loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answers.MODEL.encode() in answer.read()
    except (urllib.error.URLError, OSError):
        return False


def upstream_url(port: int) -> str:
    """The base URL of OpenRouter's API there."""
    return f"http://127.0.0.1:{port}/api/v1"
