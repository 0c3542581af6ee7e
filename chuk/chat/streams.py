"""What a user may do with answers that are kept: go on reading one, stop one, list them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from uuid import UUID

from chuk.chat.events import Done, Failed
from chuk.chat.ports import StreamFacts, StreamState, StreamStore, Subscriber
from chuk.chat.turn import Turns
from chuk.errors import NotFound, ServiceUnavailable

# Seconds that those who follow get to read ends that are there already.
_LAST_WORDS = 0.5
_RESTARTING = "The server is restarting. Please try again in a moment."


class Streams:
    """Every answer that its user can come back to, wherever it runs or ran."""

    def __init__(self, store: StreamStore, turns: Turns) -> None:
        self._store = store
        self._turns = turns
        self._following: set[asyncio.Task[None]] = set()
        self._is_draining = False

    async def find(self, user_id: UUID, stream_id: str) -> StreamFacts:
        """One of the user's own answers.

        Raises:
            NotFound: there is none of this name, not any more, or it is somebody else's.
        """
        facts = await self._store.find(stream_id)
        if facts is None or facts.owner != user_id:
            raise NotFound("This answer is not kept, or not any more.")
        return facts

    async def list(self, user_id: UUID) -> Sequence[StreamFacts]:
        """The user's answers that can be read again, the newest first."""
        return await self._store.of(user_id)

    async def stop(self, user_id: UUID, stream_id: str) -> None:
        """Stop an answer of the user's; one that is over stays as it is.

        Raises:
            NotFound: see `find`.
        """
        facts = await self.find(user_id, stream_id)
        if facts.state is StreamState.RUNNING and not self._turns.stop_stream(stream_id):
            await self._store.stop(stream_id)

    async def resume(
        self, user_id: UUID, stream_id: str, after: int, subscriber: Subscriber
    ) -> None:
        """Hand on all that comes after the event numbered `after`, up to the answer's end.

        Returns when the end is delivered, or the subscriber is gone.

        Raises:
            NotFound: see `find`.
            ServiceUnavailable: the server is draining; the answer may go on elsewhere.
            StreamInterrupted: it cannot be read on, though it has not ended.
        """
        if self._is_draining:
            raise ServiceUnavailable(_RESTARTING)
        await self.find(user_id, stream_id)
        task = asyncio.create_task(self._hand_on(stream_id, after, subscriber))
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        try:
            await task
        except ConnectionError:
            pass  # nobody is left to tell
        except asyncio.CancelledError:
            ours = asyncio.current_task()
            if task.cancelled() and ours is not None and not ours.cancelling():
                raise ServiceUnavailable(_RESTARTING) from None
            raise

    async def _hand_on(self, stream_id: str, after: int, subscriber: Subscriber) -> None:
        async with aclosing(self._store.follow(stream_id, after)) as following:
            async for first_number, events in following:
                if (wait := subscriber.deliver(first_number, events)) is not None:
                    await wait()
                if isinstance(events[-1], (Done, Failed)):
                    return
                # A long answer that is all there is not to hold up everybody else.
                await asyncio.sleep(0)

    async def drain(self) -> None:
        """Let those who follow read what has ended; the others may go on elsewhere."""
        self._is_draining = True
        if self._following:
            await asyncio.wait(self._following, timeout=_LAST_WORDS)
            for task in self._following:
                task.cancel()
