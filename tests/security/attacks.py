"""What several attacks need: requests as they are, and a place that nobody must be sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web

from tests.fakes.service import FakeService
from tests.harness import RunningServer


@dataclass(frozen=True)
class Told:
    """An answer: its status, its JSON (None where it is none), and its headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        """The error's code; empty where it is no error."""
        error = self.body.get("error", {}) if isinstance(self.body, dict) else {}
        return str(error.get("code") or "")

    @property
    def data(self) -> Any:
        """What the envelope holds."""
        return self.body["data"]


async def ask(
    server: RunningServer,
    method: str,
    path: str,
    user: UUID | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Told:
    """One request, signed in where a user is given."""
    own = {} if user is None else server.bearer(user)
    async with server.client.request(
        method,
        f"{server.url}{path}",
        headers={**own, **(headers or {})},
        allow_redirects=False,
        **options,
    ) as answer:
        raw = await answer.read()
        body = None
        if raw and answer.content_type == "application/json":
            body = await answer.json()
        return Told(answer.status, body, answer.headers)


async def operations(server: RunningServer) -> list[tuple[str, str]]:
    """Method and path of every route that the server describes."""
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document = await answer.json(content_type=None)
    return [(method.upper(), path) for path, each in document["paths"].items() for method in each]


@dataclass
class Visit:
    """A request that should not have come."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    outcome: str = "open"


class Elsewhere(FakeService):
    """A place that nobody has any business with; it notes who comes. Its answers are JSON.

    Attributes:
        visits: every request, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.visits: list[Visit] = []

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._visited)
        return app

    async def _visited(self, request: web.Request) -> web.Response:
        visit = Visit(request.method, request.path, dict(request.headers))
        with self._answering(visit):
            self.visits.append(visit)
            visit.outcome = "finished"
            return web.json_response({"data": [], "keys": [], "object": "list"})


def packed_without_end() -> Mapping[str, str]:
    """Headers of a body that is many times what it seems."""
    return {"Content-Encoding": "gzip", "Content-Type": "application/json"}


async def closed_or_answered(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next thing on a socket: its event, or None where it was closed."""
    frame = await socket.receive(timeout=30)
    return frame.json() if frame.type is aiohttp.WSMsgType.TEXT else None
