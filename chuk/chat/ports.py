"""What a turn needs from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

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
