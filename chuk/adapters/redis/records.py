"""How streams lie in Redis: the names of the keys, and the calls on them.

    chuk:stream:<id>            the `process` that runs it, its `owner` by a hidden name, and
                                `sealed` facts
    chuk:stream:<id>:events     a Redis Stream of batches, each under the number of its first event
    chuk:stream:<id>:followed   the processes that follow it
    chuk:user:<name>:streams    ids of the user's streams, by when they began
    chuk:process:<id>           whose life it proves, for as long as its process renews it
    chuk:process:<id>:streams   what the process runs
    chuk:process:<id>:inbox     a Redis Stream of what it is asked to do
    chuk:stream-processes       all that may have streams

So Redis itself refuses a batch that comes twice, and the end that another process writes shuts the
process out that was thought dead. What has no number of its own travels with what follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis

from chuk.adapters.redis.sealing import Seals, StreamSeal, Unsealable
from chuk.chat.event_codec import UnreadableEvents, decode
from chuk.chat.events import Done, Failed, TurnEvent
from chuk.chat.memory_recording import MemoryRecording
from chuk.chat.ports import Kept, StreamFacts, StreamState
from chuk.logs import logger

PROCESSES = "chuk:stream-processes"
_FACTS = b"facts"
BATCH, LENGTH, END = b"batch", b"length", b"end"
_ENDS = {b"done": StreamState.DONE, b"failed": StreamState.FAILED}

_log = logger("streams")

Fields = dict[bytes, bytes]
Entry = tuple[bytes, Fields]
"""As Redis gives it: its id, and its fields."""


def facts_key(stream_id: str) -> str:
    """Of a stream's facts."""
    return f"chuk:stream:{stream_id}"


def events_key(stream_id: str) -> str:
    """Of a stream's batches."""
    return f"chuk:stream:{stream_id}:events"


def followed_key(stream_id: str) -> str:
    """Of the processes that follow a stream."""
    return f"chuk:stream:{stream_id}:followed"


def user_key(name: str) -> str:
    """Of a user's streams, by the hidden name."""
    return f"chuk:user:{name}:streams"


def life_key(process: str) -> str:
    """Of the proof that a process lives."""
    return f"chuk:process:{process}"


def running_key(process: str) -> str:
    """Of the streams that a process runs."""
    return f"chuk:process:{process}:streams"


def inbox_key(process: str) -> str:
    """Of what a process is asked to do."""
    return f"chuk:process:{process}:inbox"


def entry_id(number: int) -> bytes:
    """Of the batch that begins with the event of this number."""
    return b"%d-0" % number


def number_of(entry: Entry) -> int:
    """The number of the first event in it."""
    return int(entry[0].partition(b"-")[0])


@dataclass(slots=True)
class Opening:
    """What Redis is told of a stream when it begins.

    Attributes:
        process: who runs it.
        owner_name: of its user, hidden.
        began_at: Unix seconds.
        keep: seconds after its end.
        sealed: the facts that nobody reads without the key.
    """

    id: str
    process: str
    owner_name: str
    began_at: float
    keep: float
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What Redis knows of a stream.

    Attributes:
        process: who runs it, or ran it.
        following: the number that its next event would have.
        owner_name: of its user, hidden.
    """

    facts: StreamFacts
    process: str
    keep: float
    owner_name: str
    following: int


class Records:
    """Translates between streams and what Redis holds of them.

    Attributes:
        unreadable: how often something did not open, since the start: it was sealed with another
            key, was damaged, or is of another version. It is never served.
    """

    def __init__(self, seals: Seals) -> None:
        self.unreadable = 0
        self.seals = seals

    def opening(self, recording: MemoryRecording, seal: StreamSeal, process: str) -> Opening:
        """What Redis is told of a turn that this process takes down."""
        began_at, keep = recording.started_at.timestamp(), recording.keep_for
        facts = [recording.owner.hex, recording.model_id, began_at, keep]
        return Opening(
            id=recording.id,
            process=process,
            owner_name=self.seals.name_of(recording.owner),
            began_at=began_at,
            keep=keep,
            sealed=seal.seal(_FACTS, orjson.dumps(facts)),
        )

    def batch(
        self, number: int, events: bytes, length: int, end: TurnEvent | None, seal: StreamSeal
    ) -> Fields:
        """The fields of an entry.

        Args:
            number: of its first event.
            events: as `encode` puts them.
            length: how many they are to a client.
            end: the turn's end, where it is the last of them.
        """
        fields = {BATCH: seal.seal(entry_id(number), events), LENGTH: b"%d" % length}
        if isinstance(end, Done):
            fields[END] = b"done"
        elif isinstance(end, Failed):
            fields[END] = b"failed"
        return fields

    def events_of(self, entry: Entry, seal: StreamSeal) -> Kept | None:
        """The events of an entry; None: it cannot be read."""
        try:
            return number_of(entry), decode(seal.open(entry[0], entry[1][BATCH]))
        except (KeyError, Unsealable, UnreadableEvents) as error:
            self._note_unreadable(error)
            return None

    async def find(self, client: Redis, stream_ids: Sequence[str]) -> list[Found | None]:
        """What is known of these, in their order."""
        if not stream_ids:
            return []
        pipeline = client.pipeline(transaction=False)
        for stream_id in stream_ids:
            pipeline.hgetall(facts_key(stream_id))
            pipeline.xrevrange(events_key(stream_id), count=1)
        answers = await pipeline.execute()
        return [
            self._found(stream_id, facts, entries)
            for stream_id, facts, entries in zip(
                stream_ids, answers[::2], answers[1::2], strict=True
            )
        ]

    async def found(self, client: Redis, stream_ids: Sequence[str]) -> list[Found]:
        """Those of these that are known."""
        return [each for each in await self.find(client, stream_ids) if each is not None]

    async def read(self, client: Redis, stream_id: str, after: int, most: int) -> list[Entry]:
        """The entries that hold what comes after an event, from the one on that it stands in."""
        start = entry_id(after + 1)
        pipeline = client.pipeline(transaction=False)
        pipeline.xrevrange(events_key(stream_id), max=start, count=1)
        pipeline.xrange(events_key(stream_id), min=b"(" + start, count=most)
        before, rest = await pipeline.execute()
        return [*before, *rest]

    def _found(self, stream_id: str, fields: Fields, entries: list[Entry]) -> Found | None:
        if not fields or not entries:
            return None
        last = entries[0][1]
        try:
            sealed = self.seals.of(stream_id).open(_FACTS, fields[b"sealed"])
            owner, model_id, started_at, keep = orjson.loads(sealed)
            after = following(entries[0])
            state = _ENDS[last[END]] if END in last else StreamState.RUNNING
            facts = StreamFacts(
                id=stream_id,
                owner=UUID(owner),
                model_id=model_id,
                started_at=datetime.fromtimestamp(started_at, UTC),
                state=state,
                # `Done` has a number of its own only here.
                last_event=after - (2 if state is StreamState.DONE else 1),
            )
            return Found(facts, fields[b"process"].decode(), keep, fields[b"owner"].decode(), after)
        except (KeyError, ValueError, Unsealable) as error:
            self._note_unreadable(error)
            return None

    def _note_unreadable(self, error: Exception) -> None:
        self.unreadable += 1
        _log.warning("stream_unreadable", error=type(error).__name__, unreadable=self.unreadable)


async def members(client: Redis, key: str) -> list[str]:
    """What is in a set."""
    found: Any = await client.smembers(key)
    return [member.decode() for member in found]


def following(entry: Entry) -> int:
    """The number of the event after it."""
    return number_of(entry) + int(entry[1][LENGTH])


def is_last(entry: Entry) -> bool:
    """Whether nothing comes after it."""
    return END in entry[1]
