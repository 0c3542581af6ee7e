"""Runs the application: sockets, TLS, signals, drain."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from chuk import logs
from chuk.api.keys import CATALOG, HEALTH, TURNS
from chuk.app import WIRING, build_app, embedded_issuer
from chuk.errors import ChukError, InternalError, InvalidRequest, ModelUnavailable
from chuk.logs import logger
from chuk.scratch import own_folder
from chuk.settings import Settings
from chuk.tls import certificate, reload_on_hangup
from chuk.web.envelope import Profile, profile_of, render_error
from chuk.web.keys import SETTINGS

BACKLOG = 2048
_MOST_UNSENT = 131_072
_KEEP_ALIVE = 75.0
_LINGER = 2.0
_SHUTDOWN_TIMEOUT = 5.0
# Room for a token of the largest size that is looked at, and a little.
_MAX_HEADER = 16_384


async def serve(settings: Settings, *, quickstart: bool = False) -> None:
    """Serve alone until SIGTERM or SIGINT, then drain; a second signal ends at once.

    Args:
        quickstart: once the model answers, print a token and a command to try.

    Raises:
        OSError: the address cannot be listened on, or the data folder cannot be written.
        SettingsError: the certificate cannot be used.
    """
    stop = stop_on_signals()
    shown = certificate(settings)
    if has_terminal():
        # Of a terminal that is closed it means the end.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.signal)
    else:
        reload_on_hangup(shown)
    # First, because it is the likeliest to fail, and nothing has to be ended then.
    listening = listening_socket(settings)
    with own_folder(settings.server.data_dir):
        runner = make_runner(await build_app(settings))
        await runner.setup()
        app = runner.app
        try:
            tls = None if shown is None else shown.context
            site = web.SockSite(runner, listening, backlog=BACKLOG, ssl_context=tls)
            await site.start()
            address = address_of(settings, listening)
            announce(address)
            calm_garbage_collector()
            guide = asyncio.create_task(print_guide(settings, app, address, wanted=quickstart))
            await stop.asked.wait()
            guide.cancel()
            await drain(app, settings.server.shutdown_grace, stop)
        finally:
            await runner.cleanup()


def start_log(settings: Settings) -> None:
    """Log as the settings want it, for the rest of this process."""
    logs.configure(level=settings.log.level, json=logs_json(settings), for_good=True)


def logs_json(settings: Settings) -> bool:
    """Whether the log is JSON: where nobody looks at it, unless the settings say."""
    form = settings.log.format
    return form == "json" or (not form and not sys.stderr.isatty())


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
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A client that vanished without a word acknowledges nothing. Our own buffer may stay
        # empty all the while, because the kernel's takes megabytes: only the kernel can tell.
        patience = int(settings.chat.stall_timeout * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # Else the kernel takes 4 MB for a client that reads slowly, asks for no more until a
        # third of that is gone, and the client looks stalled meanwhile.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_UNSENT)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        where = f"{settings.server.host}:{settings.server.port}"
        raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from None
    return listening


def make_runner(app: web.Application) -> web.AppRunner:
    """The application as it runs in production, without its sockets and signals."""
    return _Runner(
        app,
        access_log=None,
        # Else a handler never learns that its client left.
        handler_cancellation=True,
        keepalive_timeout=_KEEP_ALIVE,
        # After an early refusal, how long the rest of a body is read past.
        lingering_time=_LINGER,
        max_field_size=_MAX_HEADER,
        shutdown_timeout=_SHUTDOWN_TIMEOUT,
    )


def announce(address: str) -> None:
    """Say that the server can be called."""
    print(f"Listening on {address}", flush=True)


async def drain(app: web.Application, grace: float, stop: Stop) -> None:
    """Say 503 on `/health`, let open streams finish for so many seconds, then end them."""
    logger("server").info("draining", grace=grace)
    app[HEALTH].is_draining = True
    draining = asyncio.create_task(app[TURNS].drain(grace))
    hurry = asyncio.create_task(stop.hurry.wait())
    await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    draining.cancel()


@dataclass(frozen=True, slots=True)
class Stop:
    """The first signal asks to stop, the second one to hurry."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def signal(self) -> None:
        """Take one signal."""
        (self.hurry if self.asked.is_set() else self.asked).set()


def stop_on_signals() -> Stop:
    """What SIGTERM and SIGINT set from now on."""
    stop = Stop()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.signal)
    return stop


def has_terminal() -> bool:
    """Whether somebody sits in front of this process, so that SIGHUP means that he has left."""
    return sys.stdin is not None and sys.stdin.isatty()


def address_of(settings: Settings, listening: socket.socket) -> str:
    """Where a client on this machine finds the server."""
    scheme = "https" if settings.server.tls_cert else "http"
    host, port = listening.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def calm_garbage_collector() -> None:
    """Keep the collector from walking everything that start-up made, again and again.

    With Python's default thresholds the slowest 1 % of relayed events waited 30 to 90 ms behind
    a collection at 1,000 streams; so set, about 1 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)


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


class Connection(RequestHandler):
    """One client's. Answers what aiohttp answers before any middleware in our envelope too."""

    __slots__ = ()

    @property
    def is_new(self) -> bool:
        """Whether nothing has been asked over this connection yet."""
        return self._request_count == 0

    @property
    def is_answering(self) -> bool:
        """Whether a request waits for its answer, taken up or not; an open WebSocket does not."""
        return bool(self._messages) or (self._request_in_progress and not self._upgraded)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Bad HTTP never reaches a middleware; its message may quote what was sent."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has already begun")
        request_id = uuid4().hex
        error: ChukError = InternalError(request_id)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            error = InvalidRequest("This is not a valid HTTP request.")
        logger("http").warning(
            "refused",
            id=request_id,
            status=error.status,
            error=None if exc is None else type(exc).__name__,
        )
        response = render_error(profile_of(request, self._profile()), error)
        response.headers["X-Request-ID"] = request_id
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """aiohttp refuses an unknown `Expect` header with a text of its own."""
        if isinstance(resp, web.HTTPException) and resp.status >= HTTPStatus.BAD_REQUEST:
            resp = self.handle_error(request, resp.status, resp)
        if hdrs.CONTENT_ENCODING in request.headers and not request.content.is_eof():
            # Reading past the rest would unpack it, all at once: two seconds for a bomb.
            self._lingering_time = 0.0
        return await super().finish_response(request, resp, start_time)

    def _profile(self) -> Profile:
        server = self._manager
        return server.profile if isinstance(server, _Server) else Profile.ENVELOPE


class _Server(web.Server):
    """Makes our request handlers."""

    profile = Profile.ENVELOPE

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """aiohttp's runner, with our server. The pinned version offers no other way in."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        server = _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,
            **made._kwargs,
        )
        server.profile = Profile(self.app[SETTINGS].server.wire_profile)
        return server
