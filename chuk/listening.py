"""The sockets that the server listens on: made here, or handed over by the service manager."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from chuk.settings import Settings

BACKLOG = 2048
_MOST_UNSENT = 131_072


def listening_socket(settings: Settings, *, beside: socket.socket | None = None) -> socket.socket:
    """The bound socket. What is set on it holds for every connection it accepts.

    Args:
        beside: another one, which shares its address with this one.

    Raises:
        OSError: the address is in use, or not one of this machine.
    """
    family, kind, _, _, address = socket.getaddrinfo(
        settings.server.host, settings.server.port, type=socket.SOCK_STREAM
    )[0]
    listening = socket.socket(family, kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if beside is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        address = beside.getsockname()
    _set_for_connections(listening, settings)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        where = f"{settings.server.host}:{settings.server.port}"
        raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from None
    return listening


def inherited_sockets(settings: Settings, descriptors: Sequence[int]) -> list[socket.socket]:
    """The sockets of these descriptors, which whoever started this process keeps open as well.

    So nobody is refused who comes while there is no server, or another one takes over: until
    somebody takes his connection, it waits. `CHUK_HOST` and `CHUK_PORT` mean nothing then.

    Raises:
        OSError: one of them is not a socket for streams.
    """
    inherited = []
    for descriptor in descriptors:
        taken = socket.socket(fileno=descriptor)
        # Not for our own children.
        taken.set_inheritable(False)
        if taken.type != socket.SOCK_STREAM:
            taken.close()
            raise OSError(f"descriptor {descriptor}, which was handed over, is no stream socket")
        if taken.family != socket.AF_UNIX:
            _set_for_connections(taken, settings)
        inherited.append(taken)
    return inherited


def local_socket(settings: Settings) -> socket.socket | None:
    """A Unix socket of this server alone, where one is wanted.

    On the shared address nobody can say which of two servers answers while one takes over.

    Raises:
        OSError: it cannot be made there.
    """
    if not settings.server.local_socket:
        return None
    file = Path(settings.server.local_socket)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            # Of one that was killed.
            file.unlink()
        listening.bind(str(file))
        os.chmod(file, 0o600)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {file}: {error.strerror}") from None
    return listening


def address_of(settings: Settings, listening: socket.socket) -> str:
    """Where a client on this machine finds the server."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{name}"
    scheme = "https" if settings.server.tls_cert else "http"
    host, port = name[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _set_for_connections(listening: socket.socket, settings: Settings) -> None:
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A client that vanished without a word acknowledges nothing. Our own buffer may stay
        # empty all the while, because the kernel's takes megabytes: only the kernel can tell.
        patience = int(settings.chat.stall_timeout * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Else the kernel takes 4 MB for a client that reads slowly, asks for no more until a
        # third of that is gone, and the client looks stalled meanwhile.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)
