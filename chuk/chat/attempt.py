"""One try to get an answer from one provider, watched until its answer has begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from decimal import Decimal

from chuk.chat.breakers import Permit
from chuk.chat.command import CompletionRequest
from chuk.chat.events import Content, Ended, Finished, Opened, UpstreamEvent, UpstreamUsage
from chuk.chat.ports import Take, Upstream, Wait
from chuk.errors import (
    ChukError,
    InvalidRequest,
    ProviderError,
    ProviderTimeout,
    RequestRefused,
    ServiceUnavailable,
)

_SAYS_NOTHING = (Opened, UpstreamUsage, Finished, Ended)
# Whoever asks again elsewhere may have better luck; with any other error never.
_PASSING = (ProviderError, ServiceUnavailable, ProviderTimeout)
# An answer that is empty for one of these is as the model, or its moderation, wanted it.
_MEANT = ("length", "content_filter")
_NO_LIMIT = nullcontext()


class Attempt:
    """Asks a provider, and notes for its breaker how that went.

    Args:
        take: where the events go.
        permit: the breaker's leave.
        slow_first_byte: seconds after which a first event is late.
        clock: seconds, never going back.
        can_ask: whether upstream has books: it can be asked later for the cost of a generation,
            and what it says of costs is what counts.
        kept: the request, for whoever would be asked next; cleared as soon as nobody will be.

    Attributes:
        has_output: some part of an answer has been passed on.
        generation_id: upstream's own name for the request, where that is of use.
        cost_usd: what upstream said it costs.
        completion_tokens: by upstream's count.
        speaking_time: seconds from the answer's beginning to its end; None where a slow client
            held it up.
    """

    __slots__ = (
        "_asked_at",
        "_began_at",
        "_can_ask",
        "_clock",
        "_empty_ends",
        "_finish_reason",
        "_has_heard",
        "_kept",
        "_permit",
        "_slow_first_byte",
        "_take",
        "_timer",
        "_was_held_up",
        "completion_tokens",
        "cost_usd",
        "generation_id",
        "has_output",
        "speaking_time",
    )

    def __init__(
        self,
        take: Take,
        permit: Permit,
        *,
        slow_first_byte: float,
        clock: Callable[[], float],
        can_ask: bool,
        kept: list[CompletionRequest],
    ) -> None:
        self.has_output = False
        self.generation_id: str | None = None
        self.cost_usd: Decimal | None = None
        self.completion_tokens = 0
        self.speaking_time: float | None = None
        self._take = take
        self._permit = permit
        self._slow_first_byte = slow_first_byte
        self._clock = clock
        self._can_ask = can_ask
        self._kept = kept
        self._empty_ends: tuple[str, ...] = ()
        self._finish_reason: str | None = None
        self._has_heard = False
        self._was_held_up = False
        self._asked_at = self._began_at = clock()
        self._timer: asyncio.Timeout | None = None

    async def run(
        self, upstream: Upstream, request: CompletionRequest, patience: float | None
    ) -> ChukError | None:
        """Make the attempt; returns why it failed, if another provider may do better.

        Args:
            patience: seconds for the first event; None: somebody else looks after that.

        Raises:
            ChukError: a failure that is the client's to know.
        """
        self._empty_ends = request.extras.empty_ends
        answer = upstream.complete(request, self._pass_on)
        # Pictures may make it megabytes.
        del request
        try:
            # The last one to be asked has no limit, and a timer for nothing is not free.
            self._timer = None if patience is None else asyncio.timeout(patience)
            async with self._timer or _NO_LIMIT:
                await answer
        except TimeoutError:
            self._permit.failed()
            return ProviderTimeout()
        except asyncio.CancelledError:
            if not self._has_heard and self._is_late():
                self._permit.failed()
            raise
        except ChukError as error:
            self._judge(error)
            if self.has_output or not isinstance(error, _PASSING):
                raise
            return error
        else:
            self._judge_end()
        finally:
            self._permit.left()
        if not self.is_paid and self._finish_reason not in _MEANT:
            return ProviderError("The model gave no answer. Please try again.")
        if self.has_output and not self._was_held_up:
            self.speaking_time = self._clock() - self._began_at
        return None

    @property
    def is_paid(self) -> bool:
        """Whether its user pays: it has output, or the request itself left no room for any."""
        return self.has_output or self._finish_reason in self._empty_ends

    def _pass_on(self, batch: Sequence[UpstreamEvent]) -> Wait | None:
        """See `chuk.chat.ports.Take`. Nearly every read of an answer is one event of content."""
        if not self.has_output or len(batch) != 1 or type(batch[0]) is not Content:
            if self._timer is not None and self._timer.expired():
                # Another provider is about to be asked.
                return None
            self._look(batch)
            return self._take(batch)
        wait = self._take(batch)
        if wait is not None:
            self._was_held_up = True
        return wait

    def _look(self, batch: Sequence[UpstreamEvent]) -> None:
        if batch and not self._has_heard:
            self._has_heard = True
            if self._timer is not None:
                self._timer.reschedule(None)
            if self._is_late():
                self._permit.failed()
        for event in batch:
            if isinstance(event, Opened):
                if not self._can_ask:
                    event.generation_id = None
                self.generation_id = event.generation_id
            elif isinstance(event, UpstreamUsage):
                if not self._can_ask:
                    # One's own server costs what the list says, and that was held.
                    event.cost_usd = None
                self.completion_tokens = event.completion_tokens
                self.cost_usd = event.cost_usd
            elif isinstance(event, Finished):
                self._finish_reason = event.reason
            elif not self.has_output and not isinstance(event, _SAYS_NOTHING):
                self.has_output = True
                # Nobody else will be asked.
                self._kept.clear()
                self._began_at = self._clock()
                self._permit.answers()

    def _is_late(self) -> bool:
        return self._clock() - self._asked_at >= self._slow_first_byte

    def _judge_end(self) -> None:
        if self._finish_reason == "error":
            self._permit.failed()
        elif self.is_paid or self._finish_reason in _MEANT:
            self._permit.succeeded()

    def _judge(self, error: ChukError) -> None:
        """Tell the breaker, unless it was what was asked for that failed."""
        if isinstance(error, (InvalidRequest, RequestRefused)):
            return
        seconds = error.details.get("retry_after")
        self._permit.failed(float(seconds) if isinstance(seconds, int) else None)
