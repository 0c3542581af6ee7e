"""The chunks of an OpenAI-compatible completion stream, read as typed events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import orjson

from chuk.adapters.refusals import refusal
from chuk.chat.command import CompletionRequest
from chuk.chat.events import (
    Content,
    Ended,
    Finished,
    Opened,
    Reasoning,
    UpstreamEvent,
    UpstreamUsage,
)
from chuk.chat.sse_parser import EventStreamParser, EventTooLarge
from chuk.chat.unicode_joiner import UnicodeJoiner
from chuk.errors import ChukError, ProviderError
from chuk.logs import logger


class CompletionStream:
    """Turns upstream's bytes into events, whatever the borders of the reads.

    Attributes:
        failure: set when upstream reported an error inside the stream; the events before it
            have been returned.
        has_ended: `[DONE]` was read.
        has_finished: a `finish_reason` was read.
        has_output: some content or reasoning was read.
    """

    def __init__(self, request: CompletionRequest) -> None:
        self.failure: ChukError | None = None
        self.has_ended = False
        self.has_finished = False
        self.has_output = False
        self._request = request
        self._parser = EventStreamParser()
        self._is_open = False
        # Made only when upstream sends something that is not plain valid Unicode.
        self._joiners: dict[type[Content] | type[Reasoning], UnicodeJoiner] | None = None

    def feed(self, chunk: bytes) -> list[UpstreamEvent]:
        """Return the events of one read. A chunk that makes no sense is counted out and logged."""
        try:
            payloads = self._parser.feed(chunk)
        except EventTooLarge:
            self.failure = ProviderError()
            return []
        return self._events(payloads)

    def finish(self) -> list[UpstreamEvent]:
        """Return what was still held when the connection ended."""
        return self._events(self._parser.finish())

    def _events(self, payloads: list[bytes]) -> list[UpstreamEvent]:
        events: list[UpstreamEvent] = []
        for payload in payloads:
            if self.has_ended or self.failure is not None:
                break
            if payload == b"[DONE]":
                self._end(events)
                break
            try:
                self._read(self._decoded(payload), events)
            except (ValueError, TypeError, AttributeError, LookupError) as error:
                logger("upstream").warning("malformed chunk", error=type(error).__name__)
        return events

    def _decoded(self, payload: bytes) -> dict[str, object]:
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            # orjson refuses half a surrogate pair and broken UTF-8; both can be mended.
            chunk = json.loads(payload.decode("utf-8", "replace"))
            if self._joiners is None:
                self._joiners = {Content: UnicodeJoiner(), Reasoning: UnicodeJoiner()}
        if type(chunk) is not dict:
            raise TypeError
        return chunk

    def _read(self, chunk: dict[str, object], events: list[UpstreamEvent]) -> None:
        """Append what one chunk says."""
        if not self._is_open:
            self._open(chunk, events)
        choices = chunk.get("choices")
        if choices:
            choice = choices[0]  # type: ignore[index]
            delta = choice.get("delta")
            if delta:
                reasoning = delta.get("reasoning") or delta.get("reasoning_content")
                if reasoning:
                    self._say(Reasoning, reasoning, events)
                content = delta.get("content")
                if content:
                    self._say(Content, content, events)
            reason = choice.get("finish_reason")
            if reason:
                self.has_finished = True
                events.append(Finished(str(reason)))
        if "usage" in chunk and isinstance(chunk["usage"], Mapping):
            events.append(_usage(chunk["usage"]))
        if "error" in chunk and chunk["error"]:
            self._fail(chunk["error"])

    def _open(self, chunk: Mapping[str, object], events: list[UpstreamEvent]) -> None:
        if chunk.get("error") and not chunk.get("choices"):
            return
        self._is_open = True
        generation_id, provider = chunk.get("id"), chunk.get("provider")
        events.append(
            Opened(
                generation_id if isinstance(generation_id, str) else None,
                provider if isinstance(provider, str) else None,
            )
        )

    def _say(
        self, kind: type[Content] | type[Reasoning], text: object, events: list[UpstreamEvent]
    ) -> None:
        if type(text) is not str:
            raise TypeError
        if self._joiners is not None:
            text = self._joiners[kind].push(text)
            if not text:
                return
        self.has_output = True
        events.append(kind(text))

    def _end(self, events: list[UpstreamEvent]) -> None:
        self.has_ended = True
        for kind, joiner in (self._joiners or {}).items():
            if rest := joiner.flush():
                events.append(kind(rest))
        events.append(Ended())

    def _fail(self, error: object) -> None:
        described = error if isinstance(error, Mapping) else {}
        code = described.get("code")
        status = int(str(code)) if str(code).isdecimal() else 500
        self.failure = refusal(status, described, self._request)


def _usage(usage: Mapping[str, object]) -> UpstreamUsage:
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    return UpstreamUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(usage, "total_tokens") or prompt + completion,
        cost_usd=_cost(usage.get("cost")),
    )


def _count(usage: Mapping[str, object], name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _cost(value: object) -> Decimal | None:
    """US dollars as written; a float's shortest text is what upstream sent."""
    if not isinstance(value, (int, float, str)) or isinstance(value, bool):
        return None
    try:
        cost = Decimal(str(value))
    except InvalidOperation:
        return None
    return cost if cost.is_finite() and cost >= 0 else None
