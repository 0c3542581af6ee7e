"""Runs the application: sockets, TLS, signals, drain."""

from __future__ import annotations

import asyncio
import signal
import sys

from aiohttp import web

from chuk import logs
from chuk.api.keys import CATALOG
from chuk.app import WIRING, build_app, embedded_issuer
from chuk.arrival import TAKEOVER_WITHIN, until_useful
from chuk.departure import LAST_WORDS, Departure, Stop
from chuk.entrance import Entrance
from chuk.errors import ModelUnavailable
from chuk.listening import address_of, inherited_sockets, listening_socket, local_socket
from chuk.logs import logger
from chuk.memory import calm_memory
from chuk.metrics.site import METRICS, MetricsSite
from chuk.runner import make_runner
from chuk.scratch import own_folder, somebody_serves
from chuk.sd_notify import Notifier
from chuk.settings import Settings, service_manager
from chuk.tls import certificate, reload_on_hangup


async def serve(settings: Settings, *, quickstart: bool = False) -> None:
    """Serve alone until SIGTERM or SIGINT, then drain; a second signal ends at once.

    Args:
        quickstart: once the model answers, print a token and a command to try.

    Raises:
        OSError: the address cannot be listened on, or the data folder cannot be written.
        SettingsError: the certificate cannot be used.
    """
    stop = stop_on_signals()
    manager = service_manager()
    notifier = Notifier(manager)
    shown = certificate(settings)
    if has_terminal():
        # Of a terminal that is closed it means the end.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.signal)
    else:
        reload_on_hangup(shown, notifier)
    # First, because it is the likeliest to fail, and nothing has to be ended then.
    lent = inherited_sockets(settings, manager.sockets)
    doors = lent or [listening_socket(settings)]
    local = local_socket(settings)
    takes_over = bool(lent) and somebody_serves(settings.server.data_dir)
    with own_folder(settings.server.data_dir):
        app = await build_app(settings)
        departure = Departure(app, settings.server.shutdown_grace, stop)
        runner = make_runner(app)
        await runner.setup()
        metrics = MetricsSite(app[METRICS].families)
        try:
            metrics.reserve_as(settings.metrics)
            tls = None if shown is None else shown.context
            entrance = Entrance(runner, doors, tls, local)
            await entrance.take_from(set())
            if takes_over:
                await until_useful(app, stop.asked, within=TAKEOVER_WITHIN)
            await metrics.open()
            await entrance.take_from(set(range(len(doors))))
            address = address_of(settings, doors[0])
            announce(address)
            calm_memory()
            guide = asyncio.create_task(print_guide(settings, app, address, wanted=quickstart))
            async with notifier.alive():
                notifier.ready()
                await stop.asked.wait()
                # Whoever takes over has the port to itself.
                await metrics.close()
                notifier.stopping(settings.server.shutdown_grace + LAST_WORDS)
                guide.cancel()
                await departure.run(runner, entrance, is_relieved=bool(lent))
        finally:
            await _cleaned_up(runner)


async def _cleaned_up(runner: web.AppRunner) -> None:
    """Close everything; but what does not close in time does not keep the process."""
    try:
        async with asyncio.timeout(LAST_WORDS):
            await runner.cleanup()
    except TimeoutError:
        logger("server").error("not closed in time", seconds=LAST_WORDS)


def start_log(settings: Settings) -> None:
    """Log as the settings want it, for the rest of this process."""
    logs.configure(level=settings.log.level, json=logs_json(settings), for_good=True)


def logs_json(settings: Settings) -> bool:
    """Whether the log is JSON: where nobody looks at it, unless the settings say."""
    form = settings.log.format
    return form == "json" or (not form and not sys.stderr.isatty())


def announce(address: str) -> None:
    """Say that the server can be called."""
    print(f"Listening on {address}", flush=True)


def stop_on_signals() -> Stop:
    """What SIGTERM and SIGINT set from now on."""
    stop = Stop()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.signal)
    return stop


def has_terminal() -> bool:
    """Whether somebody sits in front of this process, so that SIGHUP means that he has left."""
    return sys.stdin is not None and sys.stdin.isatty()


async def print_guide(
    settings: Settings, app: web.Application, address: str, *, wanted: bool = True
) -> None:
    """Say how to try the server, as soon as it can answer."""
    issuer = embedded_issuer(settings)
    if not wanted or issuer is None:
        return
    print("Loading the model …", file=sys.stderr, flush=True)
    try:
        await app[WIRING].ready()
    except ModelUnavailable as error:
        print(f"No model to try: {error.message}", file=sys.stderr, flush=True)
        return
    model = app[CATALOG].models[0].id
    token = issuer.token()
    body = f'{{"model_id":"{model}","message":"What is the capital of France?"}}'
    print(
        f"\nToken (valid for a day):\n{token}\n\nTry:\n"
        f"curl -N {address}/v1/ai/chat -H 'Authorization: Bearer {token}' "
        f"-H 'Content-Type: application/json' -d '{body}'\n",
        flush=True,
    )
