"""What a turn needs from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from chuk.chat.command import CompletionRequest
from chuk.chat.events import TurnEvent, UpstreamEvent

Wait = Callable[[], Awaitable[None]]
"""What has to be called and awaited before more may come: a client is slow."""

Take = Callable[[Sequence[UpstreamEvent]], Wait | None]
"""Takes the events of one upstream read, in order; nothing more comes before its `Wait` is over."""


class Upstream(Protocol):
    """A service that completes conversations."""

    async def complete(self, request: CompletionRequest, take: Take) -> None:
        """Hand the events of each upstream read to `take`, at once; a read may bring none.

        Returns after upstream's own end (`Ended` was taken). Being cancelled closes the
        connection to upstream at once. What `take` raises is raised here.

        Raises:
            ChukError: what upstream's refusal or failure means for a client.
            StreamInterrupted: the connection broke off after the answer had begun.
        """
        ...


class Subscriber(Protocol):
    """Somebody who listens to a turn; one transport each."""

    def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> Wait | None:
        """Take the next events, numbered from `first_number` on.

        Returns what has to be waited for before the next delivery, if anything: the client is
        slow, or the answer has to begin first.

        Raises:
            ConnectionError: the client is gone (so may the `Wait`); the turn drops this
                subscriber.
        """
        ...

    def cut(self) -> None:
        """End the connection of a client that takes nothing while its answer is read elsewhere.

        Whoever waits for it then learns that it is gone.
        """
        ...


class StreamState(StrEnum):
    """How far a turn has come."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A turn that can be listened to again, as its owner sees it.

    Attributes:
        last_event: the number of the newest event that is kept; the end after success has none
            of its own.
    """

    id: str
    owner: UUID
    model_id: str
    started_at: datetime
    state: StreamState
    last_event: int


Kept = tuple[int, Sequence[TurnEvent]]
"""Events in order, and the number of the first. `Done` counts as one more, like in `deliver`."""


class Recording(Protocol):
    """Takes down one turn, in the process that runs it."""

    @property
    def is_whole(self) -> bool:
        """Whether all of it is kept so far: not so once it is over a bound."""
        ...

    def keep(self, first_number: int, events: Sequence[TurnEvent]) -> None:
        """Take down the next events. Never waits and never raises; `Done` or `Failed` is the last.

        What does not fit the bounds makes the recording unwhole: it is dropped, and counted.
        """
        ...


class StreamStore(Protocol):
    """Keeps the events of turns for a while, so that a lost client can go on where it was."""

    def open(
        self, stream_id: str, owner: UUID, model_id: str, *, keep: float | None = None
    ) -> Recording:
        """Begin to take a turn down; `keep`: seconds after its end, where not the usual ones."""
        ...

    async def find(self, stream_id: str) -> StreamFacts | None:
        """What is known of a stream; None: nothing, or it is too old."""
        ...

    async def of(self, user_id: UUID) -> Sequence[StreamFacts]:
        """The user's streams that can be listened to, the newest first."""
        ...

    def follow(self, stream_id: str, after: int) -> AsyncGenerator[Kept, None]:
        """Everything after the event numbered `after`, live while the turn runs, up to its end.

        Nothing is left out and nothing comes twice. A turn whose process died ends with
        `Failed(StreamInterrupted())`.

        Raises:
            NotFound: it is not kept, or not any more.
        """
        ...

    async def is_followed(self, stream_id: str) -> bool:
        """Whether anybody listens by `follow`, in whichever process."""
        ...

    async def stop(self, stream_id: str) -> None:
        """Ask the process that runs the turn to stop it, well, as its user wishes."""
        ...

    def heed(self, stop: Callable[[str], object]) -> None:
        """From now on what `stop` asks of this process goes here, by the stream's id."""
        ...

    async def erase(self, user_id: UUID) -> None:
        """Forget everything of this user at once: the account is being deleted."""
        ...
