"""Tells the service manager how this process is: the protocol of `sd_notify(3)`."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from chuk.logs import logger
from chuk.settings import ServiceManager


class Notifier:
    """Says it, where somebody listens; otherwise each call does nothing."""

    def __init__(self, manager: ServiceManager) -> None:
        self._watchdog = manager.watchdog
        self._address = manager.notify_address
        if self._address.startswith("@"):
            # A name without a file.
            self._address = "\0" + self._address[1:]

    def ready(self) -> None:
        """It serves."""
        self._say("READY=1")

    def reloading(self) -> None:
        """It reads its settings or certificates anew; `ready` ends that."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self, within: float) -> None:
        """It ends, and may take so many seconds for it."""
        self._say(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={round(within * 1_000_000)}")

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Say inside that the event loop turns, twice as often as the service manager asks."""
        if self._watchdog is None:
            yield
            return
        telling = asyncio.create_task(self._tell_of_life(self._watchdog / 2), name="watchdog")
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    async def _tell_of_life(self, pause: float) -> None:
        while True:
            self._say("WATCHDOG=1")
            await asyncio.sleep(pause)

    def _say(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
                # A service manager that is away must not hold the event loop up.
                speaker.setblocking(False)
                speaker.sendto(message.encode(), self._address)
        except OSError as error:
            logger("sd_notify").warning("not said", word=message[:9], reason=error.strerror)
