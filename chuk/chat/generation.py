"""One turn, from the request to its books, whoever is still listening.

A generation is a task of the application, not of the connection that asked for it: a client
that leaves, a deploy or a cancelled handler takes a subscriber away and can never skip the
end of `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from secrets import token_hex
from uuid import UUID

from chuk.chat.command import CompletionRequest
from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Finished,
    Meta,
    Opened,
    Reasoning,
    Speed,
    Started,
    TurnEvent,
    UpstreamEvent,
    UpstreamUsage,
    Usage,
    count_events,
)
from chuk.chat.ports import Subscriber, Upstream
from chuk.chat.resolution import Resolution
from chuk.chat.token_estimate import text_tokens
from chuk.credits.pricing import PriceList, tokens_usd
from chuk.errors import (
    ChukError,
    ContentFiltered,
    InternalError,
    ProviderError,
    ProviderTimeout,
    StreamInterrupted,
)
from chuk.logs import log_failure

_SHORTEST_SPAN = 0.001


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a turn waits for upstream; seconds.

    `silence` is not a limit: after it the client is told that the turn still lives.
    """

    first_byte: float
    between_reads: float
    silence: float


class Generation:
    """A running turn. `Turns` makes them; transports subscribe to them."""

    __slots__ = (
        "_allowed",
        "_answer_bytes",
        "_ending",
        "_events_sent",
        "_finish_reason",
        "_first_token_at",
        "_has_been_read",
        "_has_begun",
        "_has_told_all",
        "_is_delivering",
        "_is_over",
        "_keep_alive",
        "_last_event_at",
        "_last_read_at",
        "_model_id",
        "_patience",
        "_pieces",
        "_prices",
        "_prompt_tokens",
        "_provider",
        "_request",
        "_started_at",
        "_subscribers",
        "_task",
        "_upstream",
        "_usage",
        "_waiting_since",
        "_when_over",
        "generation_id",
        "id",
        "owner",
    )

    def __init__(
        self,
        *,
        owner: UUID,
        resolution: Resolution,
        upstream: Upstream,
        prices: PriceList,
        patience: Patience,
    ) -> None:
        self.id = token_hex(16)
        self.owner = owner
        self.generation_id: str | None = None
        self._model_id = resolution.model.id
        self._allowed = resolution.model.providers if resolution.request.allow_fallbacks else ()
        self._prompt_tokens = resolution.prompt_tokens
        # Only until it is sent: pictures in it may be megabytes, and an answer takes minutes.
        self._request: CompletionRequest | None = resolution.request
        self._upstream = upstream
        self._prices = prices
        self._patience = patience
        self._subscribers: list[Subscriber] = []
        self._task: asyncio.Task[None] | None = None
        self._keep_alive: asyncio.Task[None] | None = None
        self._has_begun = False
        self._has_told_all = False
        self._when_over: list[Callable[[], object]] = []
        self._ending: ChukError | Done | None = None
        self._provider = resolution.provider
        self._events_sent = 0
        self._is_delivering = False
        self._is_over = False
        self._pieces = 0
        self._answer_bytes = 0
        self._usage: UpstreamUsage | None = None
        self._finish_reason: str | None = None
        now = asyncio.get_running_loop().time()
        self._started_at = self._last_read_at = self._last_event_at = now
        self._waiting_since = now
        self._has_been_read = False
        self._first_token_at: float | None = None

    # What transports call.

    def begin(self, subscriber: Subscriber) -> asyncio.Task[None]:
        """Start the turn with its first listener; returns the task that ends with the turn."""
        self._subscribers.append(subscriber)
        self._task = asyncio.create_task(self._run(), name=f"generation {self.id}")
        self._task.add_done_callback(lambda _: self._conclude())
        return self._task

    def leave(self, subscriber: Subscriber) -> None:
        """Take a listener away. Nobody left: the upstream request stops."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        if not self._subscribers:
            self.stop(Done())

    def stop(self, ending: ChukError | Done) -> None:
        """End the turn now: with an error, or well (`Done`), as its user asked. Idempotent."""
        if self._ending is None and not self._is_over and self._task is not None:
            self._ending = ending
            # A task that is cancelled before its first step never runs at all: it would not
            # tell its end.
            if self._has_begun:
                self._task.cancel()

    async def finished(self) -> None:
        """Wait until the turn has told its end. Being cancelled here does not cancel the turn."""
        if not self._has_told_all:
            told = asyncio.get_running_loop().create_future()
            # The waiter may have been cancelled by then.
            self.when_over(lambda: None if told.done() else told.set_result(None))
            await told

    def when_over(self, callback: Callable[[], object]) -> None:
        """Call back as soon as the turn has told its end.

        Its task may live a little longer: it reads upstream's body to the end, so that the
        connection can serve again.
        """
        self._when_over.append(callback)

    # What the watch calls, about once a second.

    def tick(self, now: float) -> None:
        """Give up on a dead upstream; tell a waiting client that the turn still lives."""
        if self._is_delivering or self._is_over:
            return
        limit = self._patience.between_reads if self._has_been_read else self._patience.first_byte
        if now - self._waiting_since >= limit:
            self.stop(ProviderTimeout())
        elif now - self._last_event_at >= self._patience.silence:
            # A task of its own: the watch must not wait for a client that reads slowly.
            self._keep_alive = asyncio.create_task(self._tell_of_life())

    async def _tell_of_life(self) -> None:
        if not self._is_delivering and not self._is_over:
            await self._deliver([self._meta()])

    # The turn itself.

    async def _run(self) -> None:
        self._has_begun = True
        try:
            if self._ending is None:
                await self._relay()
        except asyncio.CancelledError:
            if self._ending is None or self._task is None:
                raise
            self._task.uncancel()
        except ChukError as error:
            self._ending = error
        except Exception as error:
            log_failure("generation", error, stream=self.id)
            self._ending = InternalError()
        if not self._is_over:
            await self._deliver(self._closing())

    async def _relay(self) -> None:
        """Pass upstream's events on, read by read."""
        async with aclosing(self._upstream.complete(self._handed_over())) as batches:
            async for batch in batches:
                await self._pass_on(batch)
                # Nothing that was passed on stays here while upstream is silent.
                del batch

    async def _pass_on(self, batch: Sequence[UpstreamEvent]) -> None:
        if events := self._taken(batch):
            await self._deliver(events)
        if self._is_over:
            self._conclude()
        self._waiting_since = asyncio.get_running_loop().time()

    def _handed_over(self) -> CompletionRequest:
        request, self._request = self._request, None
        assert request is not None
        return request

    def _conclude(self) -> None:
        """Let those go who waited for the end."""
        self._has_told_all = True
        while self._when_over:
            self._when_over.pop()()

    def _taken(self, batch: Sequence[UpstreamEvent]) -> list[TurnEvent]:
        """Note what one read means for the books; return what the subscribers are told."""
        now = self._last_read_at = asyncio.get_running_loop().time()
        self._has_been_read = True
        events: list[TurnEvent] = []
        for event in batch:
            if isinstance(event, (Content, Reasoning)):
                self._pieces += len(event.pieces)
                self._answer_bytes += sum(map(len, event.pieces)) - 2 * len(event.pieces)
                events.append(event)
            elif isinstance(event, Opened):
                self._note_opening(event)
                events.append(self._meta())
            elif isinstance(event, UpstreamUsage):
                self._usage = event
            elif isinstance(event, Finished):
                self._finish_reason = event.reason
            else:
                events += self._closing()
        if self._pieces and self._first_token_at is None:
            self._first_token_at = now
        return events

    def _note_opening(self, event: Opened) -> None:
        self.generation_id = event.generation_id
        # With fallbacks allowed another provider may have answered; its price is the one to pay.
        # One name may stand for several endpoints: the one asked for comes first.
        for provider in (self._provider, *self._allowed):
            if provider.name == event.provider_name:
                self._provider = provider
                return

    async def _deliver(self, events: list[TurnEvent]) -> None:
        if self._events_sent == 0 and type(events[0]) is not Failed:
            events.insert(0, Started(self.id))
        first_number = self._events_sent + 1
        self._events_sent += count_events(events)
        self._last_event_at = asyncio.get_running_loop().time()
        self._is_delivering = True
        try:
            for subscriber in tuple(self._subscribers):
                try:
                    await subscriber.deliver(first_number, events)
                except ConnectionError:
                    self.leave(subscriber)
        finally:
            self._is_delivering = False

    def _closing(self) -> list[TurnEvent]:
        """The last events; after them the turn is over."""
        ending = self._ending or self._natural_ending()
        self._ending, self._is_over = ending, True
        if isinstance(ending, Done):
            return [self._usage_event(), self._speed(), ending]
        if self._pieces:
            return [self._usage_event(), self._speed(), Failed(ending)]
        return [Failed(ending)]

    def _natural_ending(self) -> ChukError | Done:
        """What upstream's own end means."""
        if self._finish_reason == "content_filter":
            return ContentFiltered()
        if self._finish_reason == "error":
            return StreamInterrupted() if self._pieces else ProviderError()
        if not self._pieces:
            return ProviderError("The model gave no answer. Please try again.")
        return Done()

    def _meta(self) -> Meta:
        return Meta(model=self._model_id, provider=self._provider.slug, free_message=False)

    def _usage_event(self) -> Usage:
        usage = self._usage
        estimated = usage is None
        if usage is None:
            prompt = self._prompt_tokens if self._has_been_read else 0
            # A piece is nearly always one token; some upstreams send several in a piece.
            completion = max(self._pieces, text_tokens(self._answer_bytes))
            usage = UpstreamUsage(prompt, completion, prompt + completion)
        cost_usd = usage.cost_usd
        if cost_usd is None:
            cost_usd = tokens_usd(
                self._provider.pricing,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
            )
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            cost=self._prices.in_euros(cost_usd),
            estimated=estimated,
            finish_reason=self._finish_reason or ("error" if self._failed else "cancelled"),
        )

    @property
    def _failed(self) -> bool:
        return isinstance(self._ending, ChukError)

    def _speed(self) -> Speed:
        """Tokens after the first one, by the time they took."""
        tokens = self._usage.completion_tokens if self._usage else self._pieces
        span = self._last_read_at - (self._first_token_at or self._last_read_at)
        if span < _SHORTEST_SPAN:
            # It all came in one read: only the time since the request says anything.
            return Speed(tokens / max(self._last_read_at - self._started_at, _SHORTEST_SPAN))
        return Speed(max(tokens - 1, 0) / span)
