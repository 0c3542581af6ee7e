"""The chunks of an OpenAI-compatible completion stream, read as typed events."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import orjson

from chuk.adapters.completion_template import CompletionTemplate
from chuk.adapters.refusals import refusal
from chuk.adapters.tool_call_reader import ToolCallReader
from chuk.adapters.whole_cost import whole_cost
from chuk.chat.events import (
    Content,
    Ended,
    Finished,
    Opened,
    Reasoning,
    ToolCalls,
    UpstreamEvent,
    UpstreamUsage,
)
from chuk.chat.sse_parser import EventStreamParser, EventTooLarge, data_of
from chuk.chat.unicode_joiner import UnicodeJoiner
from chuk.errors import ChukError, ProviderError
from chuk.logs import logger

_REASONS = ("stop", "length", "content_filter", "tool_calls", "error")
_STATUS = re.compile(r"[1-9][0-9]{2}", re.ASCII)
# Beyond it a number is no count, and would not fit into JSON.
_MOST_TOKENS = 1_000_000_000
_LONGEST_NAME = 200


class CompletionStream:
    """Turns upstream's bytes into events, whatever the borders of the reads.

    Attributes:
        failure: set when upstream reported an error inside the stream; the events before it
            have been returned.
        has_ended: `[DONE]` was read.
        has_finished: a `finish_reason` was read.
        has_output: some content or reasoning was read.
    """

    def __init__(self, model_id: str) -> None:
        self.failure: ChukError | None = None
        self.has_ended = False
        self.has_finished = False
        self.has_output = False
        self._model_id = model_id
        self._parser = EventStreamParser()
        self._has_warned = False
        self._is_open = False
        self._is_between_events = False
        self._template: CompletionTemplate | None = None
        # Each made only when there is need: the joiners when something is not plain valid Unicode.
        self._tool_calls: ToolCallReader | None = None
        self._joiners: dict[type[Content] | type[Reasoning], UnicodeJoiner] | None = None

    def feed(self, chunk: bytes) -> list[UpstreamEvent]:
        """Return the events of one read. A chunk that makes no sense is passed over."""
        if self._template is not None and self._is_between_events:
            text = self._template.text_of(chunk)
            if text is not None:
                return [Content([text])]
        self._parser.push(chunk)
        events: list[UpstreamEvent] = []
        try:
            while not self.has_ended and self.failure is None:
                if self._template and (pieces := self._template.take(self._parser)):
                    self._append(Content, pieces, events)
                if (event := self._parser.next_event()) is None:
                    break
                self._read_event(event, events)
        except EventTooLarge:
            self.failure = ProviderError()
        self._is_between_events = self._parser.is_between_events
        return events

    def finish(self) -> list[UpstreamEvent]:
        """Return what was still held when the connection ended without its last blank line.

        The specification would drop it; servers that forget the blank line after `[DONE]` are
        common enough to be kind to.
        """
        return self.feed(b"\n\n")

    def _read_event(self, event: bytes, events: list[UpstreamEvent]) -> None:
        payload = data_of(event)
        if payload is None:
            return
        if payload == b"[DONE]":
            self._end(events)
            return
        try:
            chunk = self._decoded(payload)
            self._read(chunk, events)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            self._warn("malformed chunk", type(error).__name__)
            return
        self._learn(chunk, event)

    def _learn(self, chunk: Mapping[str, Any], event: bytes) -> None:
        """Keep the chunk as a template when a piece of content is all that it says."""
        choices = chunk.get("choices") or []
        if len(choices) != 1 or chunk.get("usage") or self._joiners is not None:
            return
        delta = choices[0].get("delta") or {}
        content = delta.get("content")
        says_more = choices[0].get("finish_reason") or any(
            value for name, value in delta.items() if name not in ("content", "role")
        )
        if isinstance(content, str) and content and not says_more:
            self._template = CompletionTemplate.learn(event, b"content", content)

    def _decoded(self, payload: bytes) -> dict[str, object]:
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            # orjson refuses half a surrogate pair and broken UTF-8; both can be mended.
            chunk = json.loads(payload.decode("utf-8", "replace"))
            if self._joiners is None:
                self._joiners = {Content: UnicodeJoiner(), Reasoning: UnicodeJoiner()}
                # From now on every piece goes through them, or a waiting half would be overtaken.
                self._template = None
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
                calls = delta.get("tool_calls")
                if calls:
                    self._call_tools(calls, events)
            reason = choice.get("finish_reason")
            if reason:
                self.has_finished = True
                events.append(Finished(reason if reason in _REASONS else "other"))
        if "usage" in chunk and isinstance(chunk["usage"], Mapping):
            usage = _usage(chunk["usage"])
            # One that counts nothing says nothing: the turn then estimates.
            if usage.total_tokens:
                events.append(usage)
        if chunk.get("error"):
            self._fail(chunk["error"])

    def _open(self, chunk: Mapping[str, object], events: list[UpstreamEvent]) -> None:
        if chunk.get("error"):
            return
        self._is_open = True
        generation_id, provider = chunk.get("id"), chunk.get("provider")
        events.append(
            Opened(
                generation_id if _is_name(generation_id) else None,
                provider if isinstance(provider, str) else None,
            )
        )

    def _say(
        self, kind: type[Content] | type[Reasoning], text: object, events: list[UpstreamEvent]
    ) -> None:
        if not isinstance(text, str):
            self._warn("piece is no text", type(text).__name__)
            return
        if self._joiners is not None:
            text = self._joiners[kind].push(text)
            if not text:
                return
        self._append(kind, [orjson.dumps(text)[1:-1]], events)

    def _call_tools(self, calls: object, events: list[UpstreamEvent]) -> None:
        if self._tool_calls is None:
            self._tool_calls = ToolCallReader()
        said = self._tool_calls.read(calls)
        if said is None:
            self._warn("malformed tool call", type(calls).__name__)
            return
        self.has_output = True
        events.append(ToolCalls([said]))

    def _warn(self, what: str, kind: str) -> None:
        # Once for each stream: ten thousand lines for one read took seconds to write.
        if not self._has_warned:
            self._has_warned = True
            logger("upstream").warning(what, kind=kind)

    def _end(self, events: list[UpstreamEvent]) -> None:
        self.has_ended = True
        for kind, joiner in (self._joiners or {}).items():
            if rest := joiner.flush():
                self._append(kind, [orjson.dumps(rest)[1:-1]], events)
        events.append(Ended())

    def _append(
        self,
        kind: type[Content] | type[Reasoning],
        pieces: list[bytes],
        events: list[UpstreamEvent],
    ) -> None:
        self.has_output = True
        last = events[-1] if events else None
        if isinstance(last, kind):
            last.pieces += pieces
        else:
            events.append(kind(pieces))

    def _fail(self, error: object) -> None:
        described = error if isinstance(error, Mapping) else {}
        code = described.get("code")
        status = int(str(code)) if _STATUS.fullmatch(str(code)) else 500
        self.failure = refusal(status, described, self._model_id)


def _is_name(value: object) -> TypeGuard[str]:
    """Whether every book can keep it: Postgres, for one, takes no zero byte."""
    return isinstance(value, str) and 1 <= len(value) <= _LONGEST_NAME and value.isprintable()


def _usage(usage: Mapping[str, object]) -> UpstreamUsage:
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    details = usage.get("prompt_tokens_details")
    cache = details if isinstance(details, Mapping) else {}
    return UpstreamUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=_count(usage, "total_tokens") or prompt + completion,
        cost_usd=whole_cost(usage),
        cached_tokens=_count(cache, "cached_tokens"),
        cache_write_tokens=_count(cache, "cache_write_tokens"),
    )


def _count(usage: Mapping[str, object], name: str) -> int:
    value = usage.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= _MOST_TOKENS else 0
