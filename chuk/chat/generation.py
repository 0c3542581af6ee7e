"""One turn, from its hold to its books, whoever is still listening.

A generation is a task of the application, not of the connection that asked for it: a client
that leaves, a deploy or a cancelled handler takes a subscriber away and can never skip the
end of `run`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from chuk.chat.books import TurnBooks
from chuk.chat.closing import closing_events
from chuk.chat.command import CompletionRequest
from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Meta,
    Opened,
    Reasoning,
    Started,
    ToolCalls,
    TurnEvent,
    UpstreamEvent,
    count_events,
)
from chuk.chat.grace import Grace
from chuk.chat.meter import TurnMeter
from chuk.chat.ports import Recording, Subscriber, Upstream, Wait
from chuk.chat.resolution import Resolution
from chuk.chat.stream_id import new_stream_id
from chuk.chat.tally import Tally
from chuk.errors import ChukError, InternalError, ProviderTimeout, ServiceUnavailable
from chuk.logs import log_failure
from chuk.spans import Span

# Seconds that a client may take nothing while somebody else reads on: it has very likely changed
# its network, and the connection that it left has not broken yet.
_STALLED = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a turn waits for upstream; seconds.

    `silence` is not a limit: after it the client is told that the turn still lives.
    """

    first_byte: float
    between_reads: float
    silence: float


class Generation:
    """A running turn. `Turns` makes them; transports subscribe to them.

    Args:
        stream_id: its name, where it has one already.
        recording: takes down what the subscribers are told.
        grace: lets the turn go on for a while when the last of them is lost; None: it stops.
        meter: counts it.
    """

    __slots__ = (
        "_books",
        "_ending",
        "_events_sent",
        "_grace",
        "_has_begun",
        "_has_hold",
        "_has_told_all",
        "_is_over",
        "_keep_alive",
        "_last_event_at",
        "_loop_time",
        "_meter",
        "_model_id",
        "_patience",
        "_recording",
        "_resolution",
        "_slow",
        "_slow_since",
        "_subscribers",
        "_tags",
        "_tally",
        "_task",
        "_turnstile",
        "_upstream",
        "_waiting_since",
        "_when_over",
        "id",
        "owner",
    )

    def __init__(
        self,
        *,
        owner: UUID,
        resolution: Resolution,
        tags: Mapping[str, str],
        upstream: Upstream,
        books: TurnBooks,
        patience: Patience,
        stream_id: str | None = None,
        recording: Recording | None = None,
        grace: Grace | None = None,
        meter: TurnMeter | None = None,
    ) -> None:
        self._loop_time = asyncio.get_running_loop().time
        now = self._loop_time()
        self.id = stream_id or new_stream_id()
        self.owner = owner
        self._model_id = resolution.model.id
        self._tally = Tally(resolution, now)
        self._books = books
        self._has_hold = False
        # Only until it is sent: pictures in it may be megabytes, and an answer takes minutes.
        self._resolution: Resolution | None = resolution
        self._tags = tags
        self._upstream = upstream
        self._patience = patience
        self._recording = recording
        self._grace = grace
        self._meter = meter or TurnMeter()
        self._subscribers: list[Subscriber] = []
        self._task: asyncio.Task[None] | None = None
        self._keep_alive: asyncio.Task[None] | None = None
        self._has_begun = False
        self._has_told_all = False
        self._when_over: list[Callable[[], object]] = []
        self._ending: ChukError | Done | None = None
        self._events_sent = 0
        # While a delivery waits for somebody, the next ones wait for it.
        self._turnstile: asyncio.Future[None] | None = None
        # Whom it waits for, and since when.
        self._slow: Subscriber | None = None
        self._slow_since = now
        self._is_over = False
        self._last_event_at = self._waiting_since = now

    # What transports call.

    def begin(self, subscriber: Subscriber) -> asyncio.Task[None]:
        """Start the turn with its first listener; returns the task that ends with the turn."""
        self._subscribers.append(subscriber)
        self._task = asyncio.create_task(self._run(), name=f"generation {self.id}")
        self._task.add_done_callback(lambda _: self._conclude())
        return self._task

    def leave(self, subscriber: Subscriber) -> None:
        """Take a listener away. Nobody left: the turn stops, or waits for somebody to come back."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        if self._subscribers or self._is_over:
            return
        if self._grace is None:
            self.stop(Done())
        else:
            self._grace.begin(self._loop_time(), self._give_up)

    def _give_up(self) -> None:
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
        """Call back as soon as the turn has told its end."""
        self._when_over.append(callback)

    @property
    def is_kept(self) -> bool:
        """Whether all that it has told can be read again."""
        return self._recording is not None and self._recording.is_whole

    @property
    def came_to_nothing(self) -> bool:
        """Whether it is over without a word of its answer, and so without a price."""
        return isinstance(self._ending, ChukError) and not self._tally.facts().has_delivered

    # What the watch calls, about once a second.

    def tick(self, now: float) -> None:
        """Give up on a dead upstream or a lost client; tell a waiting one that the turn lives."""
        if self._has_hold and not self._is_over:
            self._note(now)
        if self._grace is not None and not self._is_over:
            self._grace.tick(now, self._give_up)
        if (
            self._slow is not None
            and now - self._slow_since >= _STALLED
            and self._grace is not None
        ):
            self._grace.free(partial(self._cut, self._slow))
        if self._turnstile is not None or self._is_over:
            return
        limit = (
            self._patience.between_reads if self._tally.has_been_read else self._patience.first_byte
        )
        if now - self._waiting_since >= limit:
            # Until there is a hold, it is our own books that keep everybody waiting.
            self._time_out(ProviderTimeout() if self._has_hold else ServiceUnavailable())
        elif now - self._last_event_at >= self._patience.silence:
            # A task of its own: the watch must not wait for a client that reads slowly.
            self._keep_alive = asyncio.create_task(self._tell_of_life(self._events_sent))

    def _cut(self, subscriber: Subscriber) -> None:
        if self._slow is subscriber:
            subscriber.cut()

    def _time_out(self, error: ChukError) -> None:
        # It may be stopped already, while its books take a moment.
        if self._ending is None and isinstance(error, ProviderTimeout):
            self._meter.note_error(self._tally, error)
        self.stop(error)

    async def _tell_of_life(self, events_sent: int) -> None:
        # What was told since the watch looked is life enough, and may be about to wait.
        if self._events_sent == events_sent and self._turnstile is None and not self._is_over:
            await self._told([self._meta()])

    # The turn itself.

    async def _run(self) -> None:
        self._has_begun = True
        self._meter.begun += 1
        with self._meter.spans.span("turn", stream=self.id, model=self._model_id) as span:
            await self._carry_out(span)

    async def _carry_out(self, span: Span) -> None:
        try:
            if self._ending is None:
                await self._upstream.complete(await self._held(), self._take)
        except asyncio.CancelledError:
            if self._ending is None or self._task is None:
                raise
            self._task.uncancel()
        except ChukError as error:
            self._ending = error
        except Exception as error:
            log_failure("generation", error, stream=self.id)
            self._ending = InternalError()
        await self._calmed()
        # From here on nobody can stop it: what it took is written down first, then told.
        ending = self._ending
        if ending is None:
            ending = self._ending = self._tally.ending()
            if isinstance(ending, ChukError):
                self._meter.note_error(self._tally, ending)
        try:
            closing = await closing_events(
                ending, self._tally, self._books if self._has_hold else None
            )
        except Exception as error:
            # The hold stays, and the reconciler ends it; the client still gets its end.
            log_failure("generation", error, stream=self.id)
            closing = [Failed(InternalError())]
        self._is_over = True
        now = self._loop_time()
        self._meter.note_end(ending, self._tally, now, was_held=self._has_hold, span=span)
        await self._told(closing)
        self._conclude()

    async def _calmed(self) -> None:
        """Take a cancellation that came too late for upstream: it must not strike the books.

        Of the last listener being gone a turn may learn, and stop itself, in its very last step.
        """
        task = self._task
        if task is not None and task.cancelling():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            task.uncancel()

    async def _held(self) -> CompletionRequest:
        """Set aside what the turn may cost; the request is no longer than that affords."""
        resolution, self._resolution = self._resolution, None
        assert resolution is not None
        request = await self._books.open(resolution, self.id, self.owner, self._tags)
        self._has_hold = True
        return request

    def _take(self, batch: Sequence[UpstreamEvent]) -> Wait | None:
        """Pass one upstream read on; see `chuk.chat.ports.Take`."""
        now = self._waiting_since = self._loop_time()
        events = self._taken(batch, now)
        return self._deliver(events, now) if events else None

    def _conclude(self) -> None:
        """Let those go who waited for the end."""
        self._has_told_all = True
        while self._when_over:
            self._when_over.pop()()

    def _taken(self, batch: Sequence[UpstreamEvent], now: float) -> list[TurnEvent]:
        """Note what one read means for the books; return what the subscribers are told."""
        tally = self._tally
        tally.note_read(now)
        events: list[TurnEvent] = []
        for event in batch:
            if isinstance(event, (Content, Reasoning)):
                tally.note_pieces(event)
                events.append(event)
            elif isinstance(event, ToolCalls):
                tally.note_tool_calls(event)
                events.append(event)
            else:
                tally.note(event)
                if isinstance(event, Opened):
                    self._note(now)
                    events.append(self._meta())
        return events

    def _note(self, now: float) -> None:
        """Keep for a crash what is known by now; the books decide how often."""
        tally = self._tally
        self._books.note(
            now,
            generation_id=tally.generation_id,
            provider=tally.provider,
            prompt_tokens=tally.prompt_tokens,
            completion_tokens=tally.delivered_tokens,
        )

    def _deliver(self, events: list[TurnEvent], now: float) -> Wait | None:
        """Tell every subscriber now, within this very call, unless somebody is waited for."""
        if self._turnstile is not None:
            return partial(self._told, events)
        if self._events_sent == 0 and type(events[0]) is not Failed:
            events.insert(0, Started(self.id))
        first_number = self._events_sent + 1
        self._events_sent += count_events(events)
        self._last_event_at = now
        if self._recording is not None:
            self._recording.keep(first_number, events)
        waits: list[tuple[Subscriber, Wait]] | None = None
        for subscriber in self._subscribers:
            try:
                wait = subscriber.deliver(first_number, events)
            except ConnectionError:
                wait = _gone
            if wait is not None:
                waits = [*(waits or ()), (subscriber, wait)]
        return None if waits is None else partial(self._wait_for, waits)

    async def _told(self, events: list[TurnEvent]) -> None:
        """Deliver in turn, and wait until everybody has taken it."""
        while self._turnstile is not None:
            await asyncio.shield(self._turnstile)
        if (wait := self._deliver(events, self._loop_time())) is not None:
            await wait()

    async def _wait_for(self, waits: Sequence[tuple[Subscriber, Wait]]) -> None:
        self._turnstile = asyncio.get_running_loop().create_future()
        try:
            for subscriber, wait in waits:
                self._slow, self._slow_since = subscriber, self._loop_time()
                try:
                    await wait()
                except ConnectionError:
                    self.leave(subscriber)
        finally:
            self._slow = None
            self._turnstile.set_result(None)
            self._turnstile = None
            # It was not upstream that was slow.
            self._waiting_since = self._loop_time()

    def _meta(self) -> Meta:
        return Meta(
            model=self._model_id,
            provider=self._tally.provider.slug,
            free_message=self._books.is_free_message,
        )


async def _gone() -> None:
    raise ConnectionResetError
