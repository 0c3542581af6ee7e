"""What one call brings of several streams, and what it lets Redis forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from redis.asyncio import Redis

from chuk.adapters.redis.bringing import Bringing
from chuk.adapters.redis.records import Records
from chuk.adapters.redis.shipment import Shipment
from chuk.adapters.redis.writing import finish
from chuk.chat.event_log import Place

Carried = tuple[Shipment, Place, bytes | None]
"""A batch that was to be brought: up to where it goes, and why Redis did not take it."""


class Load:
    """A batch of each of these streams.

    Args:
        gone: streams that are not kept any more, and whose they were.

    Attributes:
        carried: how it went, once it is brought.
        over: nothing more is to be brought of these.
        forgotten: the same of those that are gone.
    """

    def __init__(
        self, records: Records, process: str, some: Sequence[Shipment], gone: Mapping[str, UUID]
    ) -> None:
        self.carried: list[Carried] = []
        self.over: list[Shipment] = []
        self.forgotten: list[tuple[str, bytes | None]] = []
        self._records = records
        self._process = process
        self._some = some
        self._gone = gone

    async def carry(self, client: Redis) -> None:
        """Bring it.

        Raises:
            RedisError: Redis does not answer.
        """
        bringing, sent = Bringing(self._process), list[tuple[Shipment, Place]]()
        gone, delivered = dict(self._gone), list[Shipment]()
        for shipment in self._some:
            if not shipment.is_whole:
                # Over a bound, or erased: others shall not know a part of it either.
                gone[shipment.id] = shipment.inner.owner
                self.over.append(shipment)
                continue
            if shipment.is_delivered:
                delivered.append(shipment)
                self.over.append(shipment)
                continue
            events, place = shipment.batch()
            if not events:
                continue
            self._add(bringing, shipment, events, place)
            sent.append((shipment, place))
        names = {owner: self._records.seals.name_of(owner) for owner in set(gone.values())}
        for stream_id, owner in gone.items():
            bringing.forget(stream_id, names[owner])
        untaken = await bringing.send(client)
        if delivered:
            await self._finish(client, delivered)
        self.carried = [(*one, untaken.get(index)) for index, one in enumerate(sent)]
        self.forgotten = [(each, untaken.get(index)) for index, each in enumerate(gone, len(sent))]

    def _add(self, bringing: Bringing, shipment: Shipment, events: bytes, place: Place) -> None:
        number, seal, inner = shipment.following, shipment.seal, shipment.inner
        length, end = place.following - number, shipment.end_before(place)
        fields = self._records.batch(number, events, length, end, seal)
        if shipment.is_new:
            opening = self._records.opening(inner, seal, self._process)
            bringing.open(opening, number, fields)
        else:
            bringing.append(shipment.id, inner.keep_for, number, fields)

    async def _finish(self, client: Redis, delivered: Sequence[Shipment]) -> None:
        pipeline = client.pipeline(transaction=False)
        for shipment in delivered:
            finish(pipeline, shipment.id, shipment.inner.keep_for, self._process)
        await pipeline.execute(raise_on_error=False)
