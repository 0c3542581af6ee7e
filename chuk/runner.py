"""The application as it runs in production, without its sockets and signals."""

from __future__ import annotations

from http import HTTPStatus
from uuid import uuid4

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from chuk.errors import ChukError, InternalError, InvalidRequest
from chuk.logs import logger
from chuk.web.envelope import Profile, is_openai_path, profile_of, render_error
from chuk.web.keys import SETTINGS
from chuk.web.middlewares import BANNER

_KEEP_ALIVE = 75.0
_LINGER = 2.0
_SHUTDOWN_TIMEOUT = 5.0
# Room for a token of the largest size that is looked at, and a little.
_MAX_HEADER = 16_384


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
        profile = profile_of(request, self._profile())
        if is_openai_path(request.path):
            profile = Profile.OPENAI
        response = render_error(profile, error)
        response.headers["X-Request-ID"] = request_id
        response.headers[hdrs.SERVER] = BANNER
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
