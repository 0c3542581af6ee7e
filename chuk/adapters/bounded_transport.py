"""httpx's way to a service, with an end to each answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

_PACKED = "content-encoding"


class BoundedTransport(httpx.AsyncBaseTransport):
    """Gives up on an answer that is longer than any true one, or packed though nobody asked.

    Libraries read whole answers into memory: a service that was taken over, or only broken, would
    fill it. What is packed can be a thousand times its size, so nothing packed is asked for.

    Args:
        most_bytes: of one answer's body.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, *, most_bytes: int) -> None:
        self._inner = inner
        self._most_bytes = most_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        if response.headers.get(_PACKED, "identity") != "identity":
            await response.stream.aclose()
            raise httpx.RemoteProtocolError("packed, though nobody asked", request=request)
        response.stream = _Counted(response.stream, self._most_bytes, request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Counted(httpx.AsyncByteStream):
    def __init__(
        self, stream: httpx.AsyncByteStream, most_bytes: int, request: httpx.Request
    ) -> None:
        self._stream = stream
        self._left = most_bytes
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._left -= len(piece)
            if self._left < 0:
                raise httpx.RemoteProtocolError("an answer without an end", request=self._request)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
