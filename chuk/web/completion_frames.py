"""A turn in OpenAI's shapes: as chunks of a stream, or as one answer.

https://platform.openai.com/docs/api-reference/chat-streaming

Every answer says what it took: a stream in its last chunk, whose `choices` are empty. What OpenAI
has no name for stands under `chuk`. A turn that fails inside its stream ends with an `error`
object, which OpenAI's libraries raise, and then `[DONE]` like every other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Reasoning,
    Started,
    ToolCalls,
    TurnEvent,
    Usage,
)
from chuk.chat.ports import Wait
from chuk.credits.money import euros
from chuk.errors import ChukError, ContentFiltered, ProviderError
from chuk.web.connections import Connection
from chuk.web.envelope import Profile, error_event
from chuk.web.streams import SseSubscriber
from chuk.web.tool_calls import joined_calls

_DONE = b"data: [DONE]\n\n"
_REASONS = ("stop", "length", "tool_calls", "content_filter")
_MOST_BYTES = 32 * 2**20


class CompletionChunks(SseSubscriber):
    """Writes a turn as the chunks of a streamed completion."""

    def __init__(
        self, request: web.Request, connection: Connection, model_id: str, *, ping_interval: float
    ) -> None:
        super().__init__(request, connection, profile=Profile.OPENAI, ping_interval=ping_interval)
        self._model_id = model_id
        self._head = b""
        self._usage: Usage | None = None
        # What stands before and after a piece of content, and between two of them.
        self._content = self._tail = self._seam = b""

    def _framed(self, number: int, events: Sequence[TurnEvent]) -> bytes:
        event = events[0]
        if type(event) is Content and len(events) == 1 and len(event.pieces) == 1:
            # Paced by a model, nearly every read is one token.
            return b"%b%b%b" % (self._content, event.pieces[0], self._tail)
        return b"".join([frame for event in events for frame in self._frames(event)])

    def _frames(self, event: TurnEvent) -> Sequence[bytes]:
        match event:
            case Content():
                return (self._content, self._seam.join(event.pieces), self._tail)
            case Reasoning():
                return [
                    self._chunk(b'{"reasoning_content":"%b"}' % piece) for piece in event.pieces
                ]
            case ToolCalls():
                return [self._chunk(b'{"tool_calls":%b}' % delta) for delta in event.deltas]
            case Started():
                self._begin_as(event.stream_id)
                return [self._chunk(b'{"role":"assistant","content":"","refusal":null}')]
            case Usage():
                # Told at the end, in its own place, which may come later where an older answer
                # is read again.
                self._usage = event
                return ()
            case Done() | Failed():
                return self._ending(event, self._usage)
            case _:
                return ()

    def _begin_as(self, stream_id: str) -> None:
        head = {**_head(stream_id, "chat.completion.chunk"), "model": self._model_id}
        self._head = b"data: %b," % orjson.dumps(head)[:-1]
        before, self._tail = self._chunk(b'{"content":"\x00"}').split(b"\x00")
        self._content, self._seam = before, self._tail + before

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        return b'%b"choices":[{"index":0,"delta":%b,"logprobs":null,"finish_reason":%b}]}\n\n' % (
            self._head,
            delta,
            finish_reason,
        )

    def _ending(self, event: Done | Failed, usage: Usage | None) -> Sequence[bytes]:
        error = event.error if isinstance(event, Failed) else None
        frames: list[bytes] = []
        if error is None or isinstance(error, ContentFiltered):
            reason = "content_filter" if error else _finish_reason(usage)
            frames.append(self._chunk(b"{}", b'"%b"' % reason.encode()))
            error = None
        if usage is not None:
            last = {"choices": [], "usage": _usage(usage), "chuk": _chuk(usage)}
            frames.append(b"%b%b\n\n" % (self._head, orjson.dumps(last)[1:]))
        if error is not None:
            frames.append(b"data: %b\n\n" % error_event(Profile.OPENAI, error))
        return [*frames, _DONE]


class WholeCompletion:
    """Collects a turn for an answer that is not streamed.

    Attributes:
        failure: why there is no answer; None: there is one, or it is still to come.
    """

    def __init__(self, model_id: str) -> None:
        self.failure: ChukError | None = None
        self._model_id = model_id
        self._stream_id = ""
        self._content = bytearray()
        self._reasoning = bytearray()
        self._calls: list[bytes] = []
        self._calls_size = 0
        self._finish_reason = "stop"
        self._usage: Usage | None = None

    def cut(self) -> None:
        """See `chuk.chat.ports.Subscriber.cut`; nobody ever waits for this one."""

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """See `chuk.chat.ports.Subscriber.deliver`."""
        for event in events:
            match event:
                case Content():
                    self._content += b"".join(event.pieces)
                case Reasoning():
                    self._reasoning += b"".join(event.pieces)
                case ToolCalls():
                    self._calls += event.deltas
                    self._calls_size += sum(map(len, event.deltas))
                case Started():
                    self._stream_id = event.stream_id
                case Usage():
                    self._usage = event
                case Failed():
                    self._fail(event.error)
                case _:
                    pass
        if len(self._content) + len(self._reasoning) + self._calls_size > _MOST_BYTES:
            # Paid, and as long the next time.
            self.failure = ProviderError(
                "The model's answer is too long.", headers={"x-should-retry": "false"}
            )
            raise ConnectionError
        return None

    @property
    def is_charged(self) -> bool:
        """Whether the turn took something, however it ended."""
        return self._usage is not None and (self._usage.cost > 0 or self._usage.is_free_message)

    def _fail(self, error: ChukError) -> None:
        if isinstance(error, ContentFiltered) and self._usage is not None:
            # A part of an answer is there, and paid for.
            self._finish_reason = "content_filter"
        elif self.failure is None:
            self.failure = error

    def answer(self) -> dict[str, Any]:
        """The `chat.completion` object of a turn that has ended without a failure."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": _text(self._content) if self._content or not self._calls else None,
            "refusal": None,
        }
        if self._reasoning:
            message["reasoning_content"] = _text(self._reasoning)
        if self._calls:
            message["tool_calls"] = joined_calls(self._calls)
        reason = self._finish_reason
        if reason == "stop":
            reason = _finish_reason(self._usage)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        answer: dict[str, Any] = {
            **_head(self._stream_id, "chat.completion"),
            "model": self._model_id,
            "choices": [choice],
        }
        if self._usage is not None:
            answer |= {"usage": _usage(self._usage), "chuk": _chuk(self._usage)}
        return answer


def _head(stream_id: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{stream_id}", "object": kind, "created": int(time.time())}


def _text(inside: bytearray) -> orjson.Fragment:
    """The inside of a JSON string, as the string."""
    return orjson.Fragment(b'"' + inside + b'"')


def _finish_reason(usage: Usage | None) -> str:
    """OpenAI's word for it; what it has none for, for one a stopped answer, is `stop`."""
    reason = "stop" if usage is None else usage.finish_reason
    return reason if reason in _REASONS else "stop"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def _chuk(usage: Usage) -> dict[str, Any]:
    """What OpenAI's usage has no place for."""
    return {
        "cost_eur": euros(usage.cost),
        "cost_basis": usage.basis,
        "provider": usage.provider,
        "zdr": usage.is_zdr,
        "free_message": usage.is_free_message,
        "estimated": usage.estimated,
    }
