"""What a turn takes: counted while upstream sends, told at the end."""

from __future__ import annotations

from chuk.catalog.models import Provider
from chuk.chat.books import TurnFacts, TurnReceipt
from chuk.chat.events import (
    Content,
    Done,
    Ended,
    Finished,
    Opened,
    Reasoning,
    Routed,
    Speed,
    ToolCalls,
    UpstreamUsage,
    Usage,
)
from chuk.chat.resolution import Resolution
from chuk.chat.token_estimate import text_tokens
from chuk.errors import ChukError, ContentFiltered, ProviderError, StreamInterrupted

_SHORTEST_SPAN = 0.001


class Tally:
    """Counts one turn. Times are the event loop's, in seconds.

    Attributes:
        pieces: pieces of content and reasoning so far.
        provider: who answers; the one asked for until upstream names another.
        generation_id: upstream's own name for the request, once it is known.
        upstream: the name of the service that is asked.
        started_at: when the turn began.
    """

    __slots__ = (
        "_allowed",
        "_answer_bytes",
        "_empty_ends",
        "_finish_reason",
        "_first_token_at",
        "_has_ended",
        "_is_empty",
        "_last_read_at",
        "_prompt_tokens",
        "_usage",
        "generation_id",
        "has_been_read",
        "pieces",
        "provider",
        "started_at",
        "upstream",
    )

    def __init__(self, resolution: Resolution, now: float) -> None:
        self.pieces = 0
        self.provider = resolution.provider
        self.upstream = resolution.request.upstream
        self.generation_id: str | None = None
        self.has_been_read = False
        self._allowed = resolution.model.providers if resolution.request.allow_fallbacks else ()
        self._empty_ends = resolution.request.extras.empty_ends
        self._prompt_tokens = resolution.prompt_tokens
        self._has_ended = self._is_empty = False
        self._answer_bytes = 0
        self._usage: UpstreamUsage | None = None
        self._finish_reason: str | None = None
        self.started_at = self._last_read_at = now
        self._first_token_at: float | None = None

    def note_read(self, now: float) -> None:
        """Upstream sent something, if only a comment."""
        self._last_read_at = now
        self.has_been_read = True

    def note_pieces(self, event: Content | Reasoning) -> None:
        """Count a part of the answer."""
        if self._first_token_at is None:
            self._first_token_at = self._last_read_at
        self.pieces += len(event.pieces)
        self._answer_bytes += sum(map(len, event.pieces))

    def note_tool_calls(self, event: ToolCalls) -> None:
        """Count calls: they are an answer as good as any."""
        if self._first_token_at is None:
            self._first_token_at = self._last_read_at
        self.pieces += len(event.deltas)
        self._answer_bytes += sum(map(len, event.deltas))

    def note(self, event: Opened | UpstreamUsage | Finished | Ended | Routed) -> None:
        """Remember what upstream says of itself."""
        if isinstance(event, UpstreamUsage):
            self._usage = event
        elif isinstance(event, Ended):
            self._has_ended = True
        elif isinstance(event, Finished):
            self._finish_reason = event.reason
        elif isinstance(event, Routed):
            self._begin_anew(event.provider)
        else:
            self.generation_id = event.generation_id
            # With fallbacks allowed another provider may have answered; its price is the one to
            # pay. One name may stand for several endpoints: the one asked for comes first.
            for provider in (self.provider, *self._allowed):
                if provider.name == event.provider_name:
                    self.provider = provider
                    return

    def _begin_anew(self, provider: Provider) -> None:
        """Forget an attempt that came to nothing: its user neither hears of it nor pays for it."""
        self.provider = provider
        self.generation_id = self._usage = self._finish_reason = None
        self._has_ended = self.has_been_read = False

    def ending(self) -> ChukError | Done:
        """What upstream's own end means."""
        if self._finish_reason == "content_filter":
            return ContentFiltered()
        if self._finish_reason == "error":
            return StreamInterrupted() if self.pieces else ProviderError()
        if not self.pieces:
            if self._finish_reason not in self._empty_ends:
                return ProviderError("The model gave no answer. Please try again.")
            self._is_empty = True
        return Done()

    @property
    def has_finished(self) -> bool:
        """Whether upstream came to an end of its own."""
        return self._finish_reason is not None or self._has_ended

    @property
    def first_token_after(self) -> float | None:
        """Seconds from the turn's beginning to the first piece of its answer, if there was one."""
        return None if self._first_token_at is None else self._first_token_at - self.started_at

    @property
    def delivered_tokens(self) -> int:
        """Completion tokens so far, by our count."""
        # A piece is nearly always one token; some upstreams send several in a piece.
        return max(self.pieces, text_tokens(self._answer_bytes)) if self.pieces else 0

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens, by our count."""
        return self._prompt_tokens

    def facts(self) -> TurnFacts:
        """What the books need to know at the end: by upstream's own count, else by ours."""
        usage = self._usage or self._estimate()
        return TurnFacts(
            has_delivered=self.pieces > 0 or self._is_empty,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            is_counted=self._usage is not None,
            cost_usd=usage.cost_usd,
            provider=self.provider,
            generation_id=self.generation_id,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )

    def usage(self, receipt: TurnReceipt, *, failed: bool) -> Usage:
        """What the turn took, as its user is told."""
        return Usage(
            prompt_tokens=receipt.prompt_tokens,
            completion_tokens=receipt.completion_tokens,
            total_tokens=receipt.total_tokens,
            cost=receipt.charged,
            held=receipt.held,
            basis=receipt.basis,
            provider=receipt.provider,
            is_free_message=receipt.is_free_message,
            is_zdr=receipt.is_zdr,
            estimated=receipt.is_estimated,
            finish_reason=self._finish_reason or ("error" if failed else "cancelled"),
        )

    def speed(self) -> Speed:
        """Tokens after the first one, by the time they took."""
        tokens = self._usage.completion_tokens if self._usage else self.pieces
        span = self._last_read_at - (self._first_token_at or self._last_read_at)
        if span < _SHORTEST_SPAN:
            # It all came in one read: only the time since the request says anything.
            return Speed(tokens / max(self._last_read_at - self.started_at, _SHORTEST_SPAN))
        return Speed(max(tokens - 1, 0) / span)

    def _estimate(self) -> UpstreamUsage:
        if not self.has_been_read:
            return UpstreamUsage(0, 0, 0)
        completion = self.delivered_tokens
        return UpstreamUsage(self._prompt_tokens, completion, self._prompt_tokens + completion)
