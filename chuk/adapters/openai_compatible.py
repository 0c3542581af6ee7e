"""Any server that speaks OpenAI's streaming chat protocol: llama.cpp, vLLM, Ollama, OpenRouter.

https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from chuk.adapters.completion_stream import CompletionStream
from chuk.adapters.push_client import ConnectFailed, ConnectTimeout, PushClient
from chuk.adapters.push_exchange import ConnectionBroken, Exchange
from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.chat.command import NO_EXTRAS, CompletionRequest, Extras, Message
from chuk.chat.events import Ended
from chuk.chat.ports import Take, Wait
from chuk.errors import (
    ChukError,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
    StreamInterrupted,
)

_MAX_ERROR_BODY = 65_536
_PLAIN_EXTRAS = (
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "parallel_tool_calls",
)
_JSON_EXTRAS = ("tools", "tool_choice", "response_format")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: the URL before `/chat/completions`, and the bearer key, if any."""

    base_url: str
    api_key: str = ""


class OpenAICompatible:
    """The upstream of a model server of one's own.

    Args:
        client: shared; it owns the connection pool and the connect timeout.
        address: called for each request, because a restarted server may have moved; may raise
            `ModelUnavailable`.
        model_names: what the server calls a model, where that is not the model's id here.
    """

    unreachable: type[ServiceUnavailable] = ModelUnavailable
    # Whether its connections serve one answer after the other. llama.cpp ends each after a streamed
    # answer without having said so, and what is asked in that moment is lost. Near by, another
    # connection costs little; with TLS it does not, and there a proxy before the server keeps them.
    keeps_connections = False

    def __init__(
        self,
        client: PushClient,
        address: Callable[[], Address],
        *,
        model_names: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._address = address
        self._model_names = model_names or {}

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """The JSON body of one request."""
        body: dict[str, Any] = {
            "model": self._model_names.get(request.model_id, request.model_id),
            "messages": [_message(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": request.max_tokens,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.reasoning_effort is not None:
            body["reasoning_effort"] = request.reasoning_effort
        if request.extras is not NO_EXTRAS:
            body.update(_extras(request.extras))
        return body

    async def complete(self, request: CompletionRequest, take: Take) -> None:
        """See `chuk.chat.ports.Upstream.complete`."""
        address = self._address()
        url = f"{address.base_url}/chat/completions"
        model_id = request.model_id
        payload = orjson.dumps(self.body(request))
        # Pictures may make it megabytes; nothing of it is needed while the answer comes.
        del request
        stream = CompletionStream(model_id)
        try:
            alone = not self.keeps_connections and not url.startswith("https:")
            headers = _headers(address.api_key, alone=alone)
            async with self._client.post(url, payload, headers, alone=alone) as exchange:
                del payload
                if exchange.status != 200 or _media_type(exchange) == "application/json":
                    raise await _refused(exchange, model_id)
                await _relay(exchange, stream, take)
        except ConnectTimeout:
            raise ProviderTimeout from None
        except ConnectFailed:
            raise self.unreachable from None
        except ConnectionBroken:
            # What breaks off after the finish reason has lost nothing of the answer.
            if not stream.has_finished:
                raise _broken(stream) from None
        if stream.failure is not None:
            raise stream.failure
        if not stream.has_ended:
            # Some servers leave `[DONE]` out; a finish reason is as good an end.
            if not stream.has_finished:
                raise _broken(stream)
            if wait := take([Ended()]):
                await wait()


async def _relay(exchange: Exchange, stream: CompletionStream, take: Take) -> None:
    """Pass the answer on, read by read, up to upstream's own end."""

    def consume(chunk: bytes) -> Wait | None:
        events = stream.feed(chunk)
        if stream.has_ended:
            exchange.let_go()
        elif stream.failure is not None:
            exchange.enough()
        return take(events)

    await exchange.relay(consume)
    if not stream.has_ended and stream.failure is None and (wait := take(stream.finish())):
        await wait()


def _media_type(exchange: Exchange) -> str:
    return exchange.headers.get("content-type", "").partition(";")[0].strip().lower()


def _headers(api_key: str, *, alone: bool) -> dict[str, str]:
    # Without compression each event arrives when it was sent, not when a block is full.
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if alone:
        headers["Connection"] = "close"
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    return headers


def _extras(extras: Extras) -> dict[str, Any]:
    """What was asked for besides, under OpenAI's names; what is JSON already goes on as it is."""
    said: dict[str, Any] = {
        name: value
        for name in _PLAIN_EXTRAS
        if (value := getattr(extras, name)) is not None and value != ()
    }
    for name in _JSON_EXTRAS:
        if (json := getattr(extras, name)) is not None:
            said[name] = orjson.Fragment(json)
    return said


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.images:
        said["content"] = _parts(message)
    if message.tool_calls:
        said["tool_calls"] = orjson.Fragment(message.tool_calls)
        # Some servers take an empty text for an answer beside the calls.
        said["content"] = said["content"] or None
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    return said


def _parts(message: Message) -> list[dict[str, Any]]:
    """Text and pictures, in the order in which they were said."""
    parts: list[dict[str, Any]] = []
    text, told = message.text, 0
    places = message.places or (len(text),) * len(message.images)
    for url, place in zip(message.images, places, strict=True):
        if text[told:place]:
            parts.append({"type": "text", "text": text[told:place]})
        parts.append({"type": "image_url", "image_url": {"url": url}})
        told = max(told, place)
    if text[told:]:
        parts.append({"type": "text", "text": text[told:]})
    return parts


async def _refused(exchange: Exchange, model_id: str) -> ChukError:
    """Read an error answer, no further than an error needs."""
    try:
        error = orjson.loads(await exchange.read(_MAX_ERROR_BODY)).get("error")
    except (ConnectionBroken, orjson.JSONDecodeError, AttributeError):
        # The status has already said most of it.
        error = None
    described: Mapping[str, object] = error if isinstance(error, dict) else {}
    status = exchange.status
    if status == 200:
        code = described.get("code")
        status = code if isinstance(code, int) else 500
    retry_after = retry_after_seconds(exchange.headers.get("retry-after"))
    return refusal(status, described, model_id, retry_after=retry_after)


def _broken(stream: CompletionStream) -> ChukError:
    return StreamInterrupted() if stream.has_output else ProviderError()
