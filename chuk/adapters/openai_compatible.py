"""Any server that speaks OpenAI's streaming chat protocol: llama.cpp, vLLM, Ollama, OpenRouter.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from chuk.adapters.completion_stream import CompletionStream
from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.chat.command import CompletionRequest, Message
from chuk.chat.events import Ended, UpstreamEvent
from chuk.errors import (
    ChukError,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
    StreamInterrupted,
)

_MAX_ERROR_BODY = 65_536
_END_OF_BODY_WAIT = 0.25
# Of an answer: each step of its way to the client holds this much, and a slow client holds it.
_MOST_AT_ONCE = 65_536
_LARGE_BODY = 262_144


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: the URL before `/chat/completions`, and the bearer key, if any."""

    base_url: str
    api_key: str = ""


class OpenAICompatible:
    """The upstream of a model server of one's own.

    Args:
        session: shared; it owns the connection pool and the connect timeout.
        address: called for each request, because a restarted server may have moved; may raise
            `ModelUnavailable`.
        model_name: what the server calls the model, where that is not the model's id here.
    """

    unreachable: type[ServiceUnavailable] = ModelUnavailable

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: Callable[[], Address],
        *,
        model_name: str | None = None,
    ) -> None:
        self._session = session
        self._address = address
        self._model_name = model_name

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """The JSON body of one request."""
        body: dict[str, Any] = {
            "model": self._model_name or request.model_id,
            "messages": [_message(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.reasoning_effort is not None:
            body["reasoning_effort"] = request.reasoning_effort
        return body

    async def complete(
        self, request: CompletionRequest
    ) -> AsyncGenerator[Sequence[UpstreamEvent], None]:
        """See `chuk.chat.ports.Upstream.complete`."""
        address = self._address()
        model_id = request.model_id
        stream = CompletionStream(model_id)
        payload = _payload(self.body(request))
        # Pictures may make it megabytes; nothing of it is needed while the answer comes.
        del request
        try:
            async with self._session.post(
                f"{address.base_url}/chat/completions",
                data=payload,
                headers=_headers(address.api_key),
                allow_redirects=False,
                read_bufsize=_MOST_AT_ONCE,
            ) as response:
                del payload
                if response.status != 200 or response.content_type == "application/json":
                    raise await _refused(response, model_id)
                while chunk := await response.content.read(_MOST_AT_ONCE):
                    events = stream.feed(chunk)
                    # A quiet stream must not keep what it has passed on.
                    chunk = b""
                    yield events
                    events = []
                    if stream.has_ended or stream.failure is not None:
                        break
                else:
                    yield stream.finish()
                if stream.has_ended:
                    await _read_to_end(response)
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise ProviderTimeout from None
        except aiohttp.ClientConnectorError:
            raise self.unreachable from None
        except aiohttp.ClientError:
            # What breaks off after the finish reason has lost nothing of the answer.
            if not stream.has_finished:
                raise _broken(stream) from None
        if stream.failure is not None:
            raise stream.failure
        if not stream.has_ended:
            # Some servers leave `[DONE]` out; a finish reason is as good an end.
            if not stream.has_finished:
                raise _broken(stream)
            yield [Ended()]


def _payload(body: dict[str, Any]) -> bytes | io.BytesIO:
    encoded = orjson.dumps(body)
    # A large one goes out piece by piece, so that the event loop stays free.
    return encoded if len(encoded) < _LARGE_BODY else io.BytesIO(encoded)


def _headers(api_key: str) -> dict[str, str]:
    # Without compression each event arrives when it was sent, not when a block is full.
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _message(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [{"type": "text", "text": message.text}] if message.text else []
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
    return {"role": message.role, "content": parts}


async def _refused(response: aiohttp.ClientResponse, model_id: str) -> ChukError:
    """Read an error answer, no further than an error needs."""
    body = await _error_body(response)
    try:
        error = orjson.loads(body).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        error = None
    described: Mapping[str, object] = error if isinstance(error, dict) else {}
    status = response.status
    if status == 200:
        code = described.get("code")
        status = code if isinstance(code, int) else 500
    retry_after = retry_after_seconds(response.headers.get("Retry-After"))
    return refusal(status, described, model_id, retry_after=retry_after)


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    try:
        while len(body) < _MAX_ERROR_BODY and (chunk := await response.content.readany()):
            body += chunk
    except aiohttp.ClientError:
        # The status has already said most of it.
        return b""
    return body


async def _read_to_end(response: aiohttp.ClientResponse) -> None:
    """Read the body's end after `[DONE]`, so that the connection can serve again."""
    if response.content.at_eof():
        return
    try:
        async with asyncio.timeout(_END_OF_BODY_WAIT):
            await response.content.readany()
    except TimeoutError:
        response.close()


def _broken(stream: CompletionStream) -> ChukError:
    return StreamInterrupted() if stream.has_output else ProviderError()
