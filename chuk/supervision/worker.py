"""A worker's process: `python -m chuk.supervision.worker ORDERS`.

Started by `chuk.supervision.member`, whose orders are JSON. It reads the settings by itself and
serves like a server that is alone, but for what it is told over the channel.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from chuk.adapters.confinement import die_with
from chuk.app import build_app
from chuk.app.embedded import at_host
from chuk.arrival import until_useful
from chuk.complaints import EXPECTED, complaint
from chuk.departure import Departure, Stop
from chuk.entrance import Entrance
from chuk.logs import log_failure, logger
from chuk.memory import calm_memory
from chuk.metrics.site import METRICS, MetricsSite
from chuk.runner import make_runner
from chuk.scratch import own_folder
from chuk.server import print_guide, start_log
from chuk.settings import Settings, load
from chuk.supervision.channel import Channel
from chuk.tls import certificate, reload_on_hangup


def main() -> int:
    """Serve until told to end."""
    orders = json.loads(sys.argv[1])
    die_with(orders["parent"])
    return uvloop.run(_work(orders))


async def _work(orders: dict[str, Any]) -> int:
    channel = await Channel.over(_taken_over(orders["channel"]))
    doors = [_taken_over(descriptor) for descriptor in orders["doors"]]
    local = None if orders["local"] is None else _taken_over(orders["local"])
    try:
        settings = load()
        start_log(settings)
        with own_folder(settings.server.data_dir):
            numbers = None if orders["numbers"] is None else Path(orders["numbers"])
            worker = _Worker(settings, channel, Path(orders["host"]), numbers)
            await worker.serve(doors, orders["door"], local, useful_within=orders["useful_within"])
    except EXPECTED as error:
        code, sentence = complaint(error)
        await channel.told(problem=sentence, code=code)
        return code
    finally:
        channel.close()
    return 0


def _taken_over(descriptor: int) -> socket.socket:
    taken = socket.socket(fileno=descriptor)
    # Not for our own children.
    taken.set_inheritable(False)
    return taken


class _Worker:
    """What one worker has to do."""

    def __init__(
        self, settings: Settings, channel: Channel, host: Path, numbers: Path | None
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._host = host
        self._numbers = numbers
        self._stop = Stop()
        # Set when others take over, so that no client needs to notice.
        self._retires = asyncio.Event()
        self._guide: asyncio.Task[None] | None = None

    async def serve(
        self,
        doors: list[socket.socket],
        own: int,
        local: socket.socket | None,
        *,
        useful_within: float,
    ) -> None:
        """Serve until told to end.

        Raises what `build_app` raises, and SettingsError for a certificate that cannot be used.
        """
        shown = certificate(self._settings)
        reload_on_hangup(shown)
        # Whoever asks this process alone to end asks for another one in its place.
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(
                name, lambda: self._channel.tell(leaving=True)
            )
        app = await build_app(self._settings, at_host(self._host))
        departure = Departure(app, self._settings.server.shutdown_grace, self._stop)
        runner = make_runner(app)
        await runner.setup()
        obeying = None
        numbers = MetricsSite(app[METRICS].families)
        try:
            if self._numbers is not None:
                await numbers.listen_at(self._numbers)
            tls = None if shown is None else shown.context
            entrance = Entrance(runner, doors, tls, local)
            obeying = asyncio.create_task(self._obey(app, entrance), name="the supervisor's orders")
            await entrance.take_from(set())
            if useful_within:
                await until_useful(app, self._stop.asked, within=useful_within)
            if not self._stop.asked.is_set():
                await entrance.take_from({own})
                calm_memory()
                self._channel.tell(ready=True)
            await self._stop.asked.wait()
            await departure.run(runner, entrance, is_relieved=self._retires.is_set())
        finally:
            await numbers.close()
            await runner.cleanup()
            for task in filter(None, (obeying, self._guide)):
                task.cancel()

    async def _obey(self, app: web.Application, entrance: Entrance) -> None:
        try:
            while (message := await self._channel.heard()) is not None:
                if "accept" in message:
                    await entrance.take_from(set(message["accept"]))
                elif "guide" in message:
                    self._guide = asyncio.create_task(
                        print_guide(self._settings, app, message["guide"]), name="guide"
                    )
                else:
                    self._end(message["end"])
            # Where the kernel does not end us with the supervisor, this does.
            logger("worker").error("the supervisor has gone")
        except Exception as error:
            log_failure("worker", error)
        self._end("hurry")

    def _end(self, how: str) -> None:
        if how == "retire":
            self._retires.set()
        if how == "hurry":
            self._stop.hurry.set()
        self._stop.asked.set()


if __name__ == "__main__":
    sys.exit(main())
