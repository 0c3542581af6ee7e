"""What the service manager hands over, and what it is told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chuk.listening import inherited_sockets
from chuk.sd_notify import Notifier
from chuk.settings import ServiceManager, load, service_manager


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a service manager listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(5)
        yield ear


def test_without_a_service_manager_nothing_is_handed_over() -> None:
    assert service_manager({}) == ServiceManager("", None, ())


def test_what_is_meant_for_this_process_counts() -> None:
    own = str(os.getpid())
    environ = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": own,
        "LISTEN_FDS": "2",
        "LISTEN_PID": own,
    }
    assert service_manager(environ) == ServiceManager("/run/notify", 3.0, (3, 4))


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "many", "LISTEN_PID": str(os.getpid())},
        {"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "0"},
    ],
)
def test_what_is_meant_for_another_process_does_not_count(environ: dict[str, str]) -> None:
    assert service_manager(environ) == ServiceManager()


def test_each_word_is_one_message(told: socket.socket) -> None:
    notifier = Notifier(ServiceManager(told.getsockname()))
    notifier.ready()
    notifier.reloading()
    notifier.stopping(90)
    assert told.recv(1000) == b"READY=1"
    state, when = told.recv(1000).split(b"\n")
    assert state == b"RELOADING=1" and int(when.removeprefix(b"MONOTONIC_USEC=")) > 0
    assert told.recv(1000) == b"STOPPING=1\nEXTEND_TIMEOUT_USEC=90000000"


async def test_the_event_loop_tells_that_it_turns_as_long_as_it_does(told: socket.socket) -> None:
    told.setblocking(False)
    loop = asyncio.get_running_loop()
    async with Notifier(ServiceManager(told.getsockname(), watchdog=0.01)).alive():
        for _ in range(3):
            assert await loop.sock_recv(told, 1000) == b"WATCHDOG=1"
    assert [task for task in asyncio.all_tasks() if task.get_name() == "watchdog"] == []


async def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    notifier = Notifier(ServiceManager())
    notifier.ready()
    async with notifier.alive():
        notifier.stopping(1)
    # One that has gone is no reason to fail.
    Notifier(ServiceManager(str(tmp_path / "gone"))).ready()


def test_only_a_stream_socket_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
        descriptor = os.dup(wrong.fileno())
    with pytest.raises(OSError, match="no stream socket"):
        inherited_sockets(load({}, directory=tmp_path), [descriptor])


def test_a_socket_that_is_taken_over_is_no_childs() -> None:
    with socket.socket() as listening:
        descriptor = os.dup(listening.fileno())
    os.set_inheritable(descriptor, True)
    (taken,) = inherited_sockets(load({}), [descriptor])
    with taken:
        assert not os.get_inheritable(taken.fileno())
