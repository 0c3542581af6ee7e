"""What the service manager that started this process hands over, by systemd's conventions.

Sockets that already listen, from descriptor 3 on; where to say how this process is; how often it
wants to hear that it lives. Without a service manager all of it is empty.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

_FIRST_SOCKET = 3


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """What it hands over.

    Attributes:
        notify_address: the Unix socket that is told how this process is; empty: nobody listens.
        watchdog: seconds of silence after which it holds this process for dead; None: it waits.
        sockets: descriptors of sockets that listen.
    """

    notify_address: str = ""
    watchdog: float | None = None
    sockets: tuple[int, ...] = ()


def service_manager(environ: Mapping[str, str] | None = None) -> ServiceManager:
    """Read what it hands over; what it means for another process does not count.

    Args:
        environ: the environment; the process's own when absent.
    """
    environ = os.environ if environ is None else environ
    watchdog = None
    if _is_for_us(environ.get("WATCHDOG_PID")) and (wait := _number(environ, "WATCHDOG_USEC")):
        watchdog = wait / 1_000_000
    sockets: tuple[int, ...] = ()
    if "LISTEN_PID" in environ and _is_for_us(environ["LISTEN_PID"]):
        number = _number(environ, "LISTEN_FDS")
        sockets = tuple(range(_FIRST_SOCKET, _FIRST_SOCKET + number))
    return ServiceManager(environ.get("NOTIFY_SOCKET", ""), watchdog, sockets)


def _is_for_us(process: str | None) -> bool:
    return process is None or process == str(os.getpid())


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0
