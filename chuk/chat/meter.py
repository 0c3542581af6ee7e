"""What is counted of turns, once each: how many, how they end, how long they take."""

from __future__ import annotations

from chuk.chat.events import Done
from chuk.chat.tally import Tally
from chuk.counts import Counts, Spread, Spreads
from chuk.errors import ChukError
from chuk.spans import NO_SPANS, Span, Spans

FIRST_TOKEN_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)
DURATION_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class TurnMeter:
    """Counts every turn of this process.

    Args:
        spans: who is told of each.

    Attributes:
        begun: how many so far.
        ended: by their outcome and the code of their error, which is empty without one. An outcome
            is `completed`, `cancelled`, `interrupted` (an error after a part of the answer),
            `failed` (before any) or `refused` (before upstream was asked).
        first_token: seconds from the turn's beginning, by upstream and provider.
        durations: of whole turns, in seconds.
        tokens: by upstream, provider, and `prompt` or `completion`.
        errors: of upstreams, as their turns noticed them, by upstream, provider and code: those
            that the router cannot know.
    """

    def __init__(self, spans: Spans = NO_SPANS) -> None:
        self.spans = spans
        self.begun = 0
        self.ended = Counts()
        self.first_token = Spreads(FIRST_TOKEN_BOUNDS)
        self.durations = Spread(DURATION_BOUNDS)
        self.tokens = Counts()
        self.errors = Counts()

    def note_error(self, tally: Tally, error: ChukError) -> None:
        """Upstream failed, as only the turn can tell."""
        self.errors.add(tally.upstream, tally.provider.slug, error.code)

    def note_end(
        self, ending: ChukError | Done, tally: Tally, now: float, *, was_held: bool, span: Span
    ) -> None:
        """A turn is over; `now` is the event loop's time, in seconds."""
        failure = ending if isinstance(ending, ChukError) else None
        outcome, code = _outcome(failure, tally, was_held), "" if failure is None else failure.code
        self.ended.add(outcome, code)
        self.durations.note(now - tally.started_at)
        upstream, provider = tally.upstream, tally.provider.slug
        waited = tally.first_token_after
        if waited is not None:
            self.first_token.note(waited, upstream, provider)
            span.note(first_token_ms=round(waited * 1000, 1))
        span.note(outcome=outcome, upstream=upstream, provider=provider)
        if failure is not None:
            span.fail(code)
        if was_held and tally.has_been_read:
            facts = tally.facts()
            self.tokens.add(upstream, provider, "prompt", by=facts.prompt_tokens)
            self.tokens.add(upstream, provider, "completion", by=facts.completion_tokens)
            span.note(prompt_tokens=facts.prompt_tokens, completion_tokens=facts.completion_tokens)


def _outcome(failure: ChukError | None, tally: Tally, was_held: bool) -> str:
    if failure is None:
        return "completed" if tally.has_finished else "cancelled"
    if not was_held:
        return "refused"
    return "interrupted" if tally.pieces else "failed"
