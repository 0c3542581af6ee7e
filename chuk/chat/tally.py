"""What a turn takes: counted while upstream sends, told at the end."""

from __future__ import annotations

from chuk.chat.events import (
    Content,
    Done,
    Finished,
    Opened,
    Reasoning,
    Speed,
    UpstreamUsage,
    Usage,
)
from chuk.chat.resolution import Resolution
from chuk.chat.token_estimate import text_tokens
from chuk.credits.pricing import PriceList, tokens_usd
from chuk.errors import ChukError, ContentFiltered, ProviderError, StreamInterrupted

_SHORTEST_SPAN = 0.001


class Tally:
    """Counts one turn. Times are the event loop's, in seconds.

    Attributes:
        pieces: pieces of content and reasoning so far.
        provider: who answers; the one asked for until upstream names another.
        generation_id: upstream's own name for the request, once it is known.
    """

    __slots__ = (
        "_allowed",
        "_answer_bytes",
        "_finish_reason",
        "_first_token_at",
        "_images",
        "_last_read_at",
        "_prices",
        "_prompt_tokens",
        "_started_at",
        "_usage",
        "generation_id",
        "has_been_read",
        "pieces",
        "provider",
    )

    def __init__(self, resolution: Resolution, prices: PriceList, now: float) -> None:
        self.pieces = 0
        self.provider = resolution.provider
        self.generation_id: str | None = None
        self.has_been_read = False
        self._allowed = resolution.model.providers if resolution.request.allow_fallbacks else ()
        self._prompt_tokens = resolution.prompt_tokens
        self._images = resolution.images
        self._prices = prices
        self._answer_bytes = 0
        self._usage: UpstreamUsage | None = None
        self._finish_reason: str | None = None
        self._started_at = self._last_read_at = now
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

    def note(self, event: Opened | UpstreamUsage | Finished) -> None:
        """Remember what upstream says of itself."""
        if isinstance(event, UpstreamUsage):
            self._usage = event
        elif isinstance(event, Finished):
            self._finish_reason = event.reason
        else:
            self.generation_id = event.generation_id
            # With fallbacks allowed another provider may have answered; its price is the one to
            # pay. One name may stand for several endpoints: the one asked for comes first.
            for provider in (self.provider, *self._allowed):
                if provider.name == event.provider_name:
                    self.provider = provider
                    return

    def ending(self) -> ChukError | Done:
        """What upstream's own end means."""
        if self._finish_reason == "content_filter":
            return ContentFiltered()
        if self._finish_reason == "error":
            return StreamInterrupted() if self.pieces else ProviderError()
        if not self.pieces:
            return ProviderError("The model gave no answer. Please try again.")
        return Done()

    def usage(self, *, failed: bool) -> Usage:
        """What the turn took: by upstream's own count and price, else by ours."""
        usage = self._usage or self._estimate()
        cost_usd = usage.cost_usd
        if cost_usd is None:
            cost_usd = tokens_usd(
                self.provider.pricing,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                images=self._images if self.has_been_read else 0,
            )
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            cost=self._prices.in_euros(cost_usd),
            estimated=self._usage is None,
            finish_reason=self._finish_reason or ("error" if failed else "cancelled"),
        )

    def speed(self) -> Speed:
        """Tokens after the first one, by the time they took."""
        tokens = self._usage.completion_tokens if self._usage else self.pieces
        span = self._last_read_at - (self._first_token_at or self._last_read_at)
        if span < _SHORTEST_SPAN:
            # It all came in one read: only the time since the request says anything.
            return Speed(tokens / max(self._last_read_at - self._started_at, _SHORTEST_SPAN))
        return Speed(max(tokens - 1, 0) / span)

    def _estimate(self) -> UpstreamUsage:
        if not self.has_been_read:
            return UpstreamUsage(0, 0, 0)
        # A piece is nearly always one token; some upstreams send several in a piece.
        completion = max(self.pieces, text_tokens(self._answer_bytes))
        return UpstreamUsage(self._prompt_tokens, completion, self._prompt_tokens + completion)
