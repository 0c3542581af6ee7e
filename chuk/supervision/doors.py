"""The listening sockets of one address, which the workers share out among themselves.

Each worker has a door of its own, so that the kernel spreads connections evenly. The supervisor
keeps them all open: what waits at the door of a worker that has died, or is being replaced, is
taken in by the next one or by the others, and no connection is ever reset for it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from aiohttp import web

from chuk.server import BACKLOG, listening_socket
from chuk.settings import Settings


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


class Entrance:
    """The doors at which this worker takes connections in.

    Args:
        doors: all there are. What is set open here is a copy, so that they can be left again.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        doors: Sequence[socket.socket],
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._runner = runner
        self._doors = doors
        self._ssl_context = ssl_context
        self._sites: dict[int, web.SockSite] = {}

    async def take_from(self, wanted: set[int]) -> None:
        """Take connections from these doors, by their numbers, and from no others."""
        for number in wanted - self._sites.keys():
            site = web.SockSite(
                self._runner,
                self._doors[number].dup(),
                backlog=BACKLOG,
                ssl_context=self._ssl_context,
            )
            await site.start()
            self._sites[number] = site
        for number in self._sites.keys() - wanted:
            await self._sites.pop(number).stop()
