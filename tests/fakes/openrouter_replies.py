"""How the stand-in for OpenRouter behaves, one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass
class Reply:
    """How one completion goes. What is not said here goes as usual.

    A piece is one event with text (or one of the `raw` chunks); pieces are counted from 0, the
    reasoning first.

    Attributes:
        content, reasoning: the pieces of text; None: text made from the prompt, no reasoning.
            An endless iterable is fine.
        reasoning_field: `reasoning` as OpenRouter says, or `reasoning_content` as others do.
        tool_calls: after the text, the arrays of `delta.tool_calls`; each is a piece. Then the
            answer ends for them.
        raw: written verbatim, one write each, instead of everything below and above.
        finish_reason: None leaves it out.
        usage: replaces the usage object; `{}` leaves it out, None counts.
        usage_with_finish: the usage sits on the last choice, not in a chunk of its own.
        done: whether `data: [DONE]` ends the stream.
        status, error, headers: a status other than 200 answers with `error` as JSON at once.
        stream_error: an error object in the stream, sent instead of piece number `error_after`
            (None: after the last piece), which ends it.
        break_after: the connection breaks after this many pieces.
        stall_after: silence after this many pieces, until `fake.release` is set.
        gates: before piece number n, wait for this event; the ending counts as a piece.
        delay: seconds between pieces.
        never_answer: not even headers, until `fake.release` is set.
        comments: how many `: OPENROUTER PROCESSING` lines come first.
        pieces_per_write: pieces joined into one write.
    """

    content: Iterable[str] | None = None
    reasoning: Iterable[str] = ()
    reasoning_field: str = "reasoning"
    tool_calls: Sequence[Sequence[Mapping[str, Any]]] = ()
    raw: Iterable[bytes] | None = None
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = None
    usage_with_finish: bool = False
    done: bool = True
    status: int = 200
    error: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stream_error: Mapping[str, Any] | None = None
    error_after: int | None = None
    break_after: int | None = None
    stall_after: int | None = None
    gates: Mapping[int, asyncio.Event] = field(default_factory=dict)
    delay: float = 0.0
    never_answer: bool = False
    comments: int = 1
    pieces_per_write: int = 1

    def holds(self, number: int) -> bool:
        """Whether something stands before piece `number`."""
        held = number in self.gates or number in (self.break_after, self.stall_after)
        return held or self.delay > 0

    async def may_go_on(self, number: int, release: asyncio.Event) -> bool:
        """Wait for what stands before piece `number`; false: break the connection instead."""
        if number == self.break_after:
            return False
        if number == self.stall_after:
            await release.wait()
        if number in self.gates:
            await self.gates[number].wait()
        if self.delay:
            await asyncio.sleep(self.delay)
        return True


@dataclass
class Fault:
    """How a catalogue route misbehaves until it is mended.

    Attributes:
        status, body, headers: the answer.
        hang: no answer at all, until `fake.release` is set.
        endless: bytes of JSON string, a megabyte at a time, as many as the client takes.
    """

    status: int = 200
    body: bytes = b'{"error": {"message": "Internal Server Error", "code": 500}}'
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    endless: bool = False


@dataclass
class RecordedRequest:
    """One request as it came, and what became of it.

    Attributes:
        path: below the base URL, `/chat/completions`.
        body: the JSON; None for a GET.
        pieces_sent: how many pieces were written so far.
        outcome: open, finished, refused, broken (by the stand-in), disconnected (by the client).
        peer: the client's end of the connection.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    pieces_sent: int = 0
    outcome: str = "open"
    peer: object = None


@dataclass
class Generation:
    """What `GET /generation` knows of a completion.

    Attributes:
        asked: how often it was asked for.
        own_key_cost: what the provider charges a key of one's own there (then `cost` is a fee).
    """

    id: str
    model: str
    provider_name: str
    prompt_tokens: int
    completion_tokens: int = 0
    cost: Decimal = Decimal(0)
    finish_reason: str | None = None
    cancelled: bool = False
    asked: int = 0
    own_key_cost: Decimal | None = None

    def is_written(self, asks_before: int | None) -> bool:
        """Count a question; whether it may be answered by now."""
        self.asked += 1
        return asks_before is not None and self.asked > asks_before

    def usage(self) -> dict[str, Any]:
        """The usage object of the last chunk."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "cost": float(self.cost),
            "is_byok": False,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def record(self) -> dict[str, Any]:
        """The answer's `data`."""
        return {
            "id": self.id,
            "model": self.model,
            "provider_name": self.provider_name,
            "streamed": True,
            "cancelled": self.cancelled,
            "finish_reason": self.finish_reason,
            "tokens_prompt": self.prompt_tokens,
            "tokens_completion": self.completion_tokens,
            "native_tokens_prompt": self.prompt_tokens,
            "native_tokens_completion": self.completion_tokens,
            "total_cost": float(self.cost),
            "usage": float(self.cost),
            "is_byok": self.own_key_cost is not None,
            "upstream_inference_cost": float(
                self.cost if self.own_key_cost is None else self.own_key_cost
            ),
            "created_at": "2026-01-15T10:30:00.000Z",
        }


def prompt_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """All text of a conversation, whichever form its content has."""
    texts: list[str] = []
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, str):
            texts.append(content)
        else:
            texts.extend(part.get("text", "") for part in content)
    return "\n".join(texts)


def has_images(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any message brings a picture."""
    return any(
        part.get("type") == "image_url"
        for message in messages
        if not isinstance(message.get("content") or "", str)
        for part in message["content"]
    )


def count_tokens(text: str) -> int:
    """A stand-in for a tokenizer: words, at least one."""
    return max(1, len(text.split()))


def usual_answer(prompt: str) -> list[str]:
    """Varied text that depends on the prompt, a word a piece."""
    words = prompt.split()[-40:]
    opening, closing = ["You ", "wrote", ":"], [" That", " is", f" {len(prompt)} ", "letters", "."]
    return [*opening, *(f" {word}" for word in words), *closing]
