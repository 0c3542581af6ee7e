"""The listening sockets of one address, which the workers share out among themselves.

Each worker has a door of its own, so that the kernel spreads connections evenly. The supervisor
keeps them all open: what waits at the door of a worker that has died, or is being replaced, is
taken in by the next one or by the others, and no connection is ever reset for it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from chuk.listening import inherited_sockets, listening_socket, local_socket
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class Doors:
    """All there are.

    Attributes:
        shared: one for each worker at least, in the order of the workers.
        local: this server's own one, on this machine, at which every worker answers.
        are_lent: the service manager keeps them open as well, so that others can take over.
    """

    shared: Sequence[socket.socket]
    local: socket.socket | None
    are_lent: bool

    def close(self) -> None:
        """Leave them. Idempotent."""
        for door in self.shared:
            door.close()
        if self.local is not None:
            self.local.close()


def open_doors(settings: Settings, number: int, descriptors: Sequence[int]) -> Doors:
    """Open them for so many workers.

    Args:
        descriptors: sockets that the service manager has handed over; else they are made here.

    Raises:
        OSError: the address is in use, or not one of this machine.
    """
    local = local_socket(settings)
    try:
        if descriptors:
            lent = inherited_sockets(settings, descriptors)
            more = range(number - len(lent))
            # Several workers at one door: they get what comes unevenly, but nothing is lost.
            shared = [*lent, *(lent[worker % len(lent)].dup() for worker in more)]
        else:
            shared = make_doors(settings, number)
    except OSError:
        if local is not None:
            local.close()
        raise
    return Doors(shared, local, are_lent=bool(descriptors))


def make_doors(settings: Settings, number: int) -> list[socket.socket]:
    """So many sockets, bound to one port that nobody else has.

    Raises:
        OSError: the address is in use, or not one of this machine.
    """
    first = listening_socket(settings)
    # Only now: a socket that shared from the beginning would share with another server too.
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    doors = [first]
    try:
        for _ in range(number - 1):
            doors.append(listening_socket(settings, beside=first))
    except OSError:
        for door in doors:
            door.close()
        raise
    return doors
