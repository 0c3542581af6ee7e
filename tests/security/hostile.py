"""A service that was taken over, or is only broken: it answers everything in one bad way."""

from __future__ import annotations

import asyncio
import functools
import zlib
from dataclasses import dataclass
from enum import Enum

from aiohttp import web

from tests.fakes.service import FakeService

_PIECE = 1_000_000
_MOST_PIECES = 2_000


class Way(Enum):
    """How it answers."""

    ENDLESS = "JSON that never ends"
    BOMB = "400 megabytes of JSON in less than one of gzip"
    PAGE = "a web page"
    NULL = "null"
    LIST = "a list where an object belongs"
    WRONG_TYPES = "the right names, the wrong types"
    DEEP = "JSON of a hundred thousand brackets"
    NOT_UTF8 = "bytes that are no text"
    REDIRECT = "a redirect to elsewhere"
    REDIRECT_KEEPING = "a redirect that keeps method and body"
    REFUSING_PAGE = "a web page with a 500"
    ENDLESS_REFUSAL = "a 500 that never ends"
    STRANGE_STATUS = "a status that nobody knows"


_BODIES = {
    Way.PAGE: b"<!doctype html><title>Welcome</title><script>alert(1)</script>",
    Way.NULL: b"null",
    Way.LIST: b"[[], {}, null, 1]",
    Way.WRONG_TYPES: b'{"id": [], "data": 7, "keys": "x", "status": {}, "request_id": 5, "url": [],'
    b' "images": {"url": 1}, "text": {"a": 1}, "segments": 9, "object": null, "result": []}',
    Way.DEEP: b"[" * 100_000 + b"]" * 100_000,
    Way.NOT_UTF8: b'{"text": "\xff\xfe\xed\xa0\x80", "data": "\xc0\x80"}',
    Way.REFUSING_PAGE: b"<html>Internal Server Error at /srv/app.py line 7</html>",
    Way.STRANGE_STATUS: b"{}",
}


@dataclass
class Ask:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    outcome: str = "open"


class HostileService(FakeService):
    """Whatever is asked, it answers so.

    Attributes:
        way: how.
        elsewhere: where it redirects to.
        asked: every request so far.
        sent: bytes of endless answers that were taken from it.
    """

    def __init__(self, way: Way, elsewhere: str = "") -> None:
        super().__init__()
        self.way = way
        self.elsewhere = elsewhere
        self.asked: list[Ask] = []
        self.sent = 0

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        ask = Ask(request.method, request.path, dict(request.headers))
        self.asked.append(ask)
        with self._answering(ask):
            answer = await self._answered(request)
            ask.outcome = "finished"
            return answer

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        match self.way:
            case Way.REDIRECT | Way.REDIRECT_KEEPING:
                status = 302 if self.way is Way.REDIRECT else 307
                return web.Response(status=status, headers={"Location": f"{self.elsewhere}/stolen"})
            case Way.ENDLESS | Way.ENDLESS_REFUSAL:
                return await self._endless(request)
            case Way.BOMB:
                headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
                return web.Response(body=_bomb(), headers=headers)
        status = {Way.REFUSING_PAGE: 500, Way.STRANGE_STATUS: 299}.get(self.way, 200)
        kind = "text/html" if self.way in (Way.PAGE, Way.REFUSING_PAGE) else "application/json"
        return web.Response(status=status, body=_BODIES[self.way], content_type=kind)

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        status = 500 if self.way is Way.ENDLESS_REFUSAL else 200
        answer = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(b'{"text": "')
        for _ in range(_MOST_PIECES):
            await answer.write(b"x" * _PIECE)
            self.sent += _PIECE
            await asyncio.sleep(0)
        return answer


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    pieces = [packer.compress(b'{"text": "')]
    pieces += [packer.compress(b"x" * _PIECE) for _ in range(400)]
    return b"".join(pieces) + packer.flush()
