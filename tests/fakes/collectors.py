"""Stand-ins for those who are told of the server from outside: an OTLP collector, and Sentry."""

from __future__ import annotations

import gzip
import json
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.fakes.service import FakeService


class _Collector(FakeService):
    """Takes whatever is sent.

    Attributes:
        heads: of each request, as one text.
        bodies: of each request, unpacked.
        status: what it answers with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.status = 200

    @property
    def everything(self) -> bytes:
        """All that was ever sent, heads and bodies."""
        return "\n".join(self.heads).encode() + b"\n".join(self.bodies)

    async def _take(self, request: web.Request) -> web.Response:
        # aiohttp unpacks by itself what its head says is packed.
        body = await request.read()
        self.heads.append(f"{request.method} {request.path} {dict(request.headers)}")
        self.bodies.append(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        self._notify()
        return self._answer()

    def _answer(self) -> web.Response:
        raise NotImplementedError

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_post("/{path:.*}", self._take)
        return app


class FakeTraceCollector(_Collector):
    """Takes traces by OTLP over HTTP, at `/v1/traces`."""

    @property
    def url(self) -> str:
        """Where to send them."""
        return f"{self.address}/v1/traces"

    @property
    def spans(self) -> list[Span]:
        """All spans so far."""
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def _answer(self) -> web.Response:
        body = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=body, status=self.status, content_type="application/x-protobuf")


class FakeSentry(_Collector):
    """Takes envelopes (https://develop.sentry.dev/sdk/data-model/envelopes/)."""

    @property
    def dsn(self) -> str:
        """Where to send them."""
        return f"{self.address.replace('http://', 'http://public@')}/1"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events so far."""
        found: list[dict[str, Any]] = []
        for body in self.bodies:
            _, *lines = body.strip().split(b"\n")
            for head, item in zip(lines[::2], lines[1::2], strict=True):
                if json.loads(head)["type"] == "event":
                    found.append(json.loads(item))
        return found

    def _answer(self) -> web.Response:
        return web.json_response({}, status=self.status)
