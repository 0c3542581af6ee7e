"""What a turn needs from outside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from chuk.chat.command import CompletionRequest
from chuk.chat.events import TurnEvent, UpstreamEvent


class Upstream(Protocol):
    """A service that completes conversations."""

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Sequence[UpstreamEvent], None]:
        """Yield the events of each upstream read as one batch; a batch may be empty.

        Closing the generator closes the connection to upstream at once. A generator that ends
        has had upstream's own end; one that broke off raises.

        Raises:
            ChukError: what upstream's refusal or failure means for a client.
            StreamInterrupted: the connection broke off after the answer had begun.
        """
        ...


class Subscriber(Protocol):
    """Somebody who listens to a turn; one transport each."""

    async def deliver(self, first_number: int, events: Sequence[TurnEvent]) -> None:
        """Take the next events, numbered from `first_number` on; waits while the client is slow.

        Raises:
            ConnectionError: the client is gone; the turn drops this subscriber.
        """
        ...
