"""What one call brings of several streams, and what it lets Redis forget."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from chuk.adapters.redis.bringing import Bringing
from chuk.adapters.redis.records import Records
from chuk.adapters.redis.shipment import Shipment
from chuk.adapters.redis.writing import finish, forget
from chuk.chat.event_log import Place, Stretch
from chuk.chat.events import TurnEvent
from chuk.logs import log_failure

Carried = tuple[Shipment, Place, bytes | None]
"""A batch that was to be brought: up to where it goes, and why Redis did not take it."""


class Load:
    """A batch of each of these streams.

    Attributes:
        carried: how it went, once it is brought.
        over: nothing more is to be brought of these.
    """

    def __init__(self, records: Records, process: str, some: Sequence[Shipment]) -> None:
        self.carried: list[Carried] = []
        self.over: list[Shipment] = []
        self._records = records
        self._process = process
        self._some = some

    async def carry(self, client: Redis) -> None:
        """Bring it.

        Raises:
            RedisError: Redis does not answer.
        """
        bringing, sent = Bringing(self._process), list[tuple[Shipment, Place]]()
        for shipment in self._some:
            if not shipment.is_whole or shipment.is_delivered:
                self.over.append(shipment)
                continue
            events, place = shipment.batch()
            if not events:
                continue
            try:
                self._add(bringing, shipment, events, place)
            except Exception as error:
                # A defect of one must not keep the others from Redis, nor be hidden.
                log_failure("streams", error, stream=shipment.id)
                shipment.is_broken = True
                self.over.append(shipment)
            else:
                sent.append((shipment, place))
        untaken = await bringing.send(client)
        if self.over:
            await self._part_with(client, self.over)
        self.carried = [(*one, untaken.get(index)) for index, one in enumerate(sent)]

    def _add(
        self,
        bringing: Bringing,
        shipment: Shipment,
        events: Sequence[TurnEvent | Stretch],
        place: Place,
    ) -> None:
        number, seal, inner = shipment.following, shipment.seal, shipment.inner
        fields = self._records.batch(number, events, place.following - number, seal)
        if shipment.is_new:
            opening = self._records.opening(inner, seal, self._process)
            bringing.open(opening, number, fields)
        else:
            bringing.append(shipment.id, inner.keep_for, number, fields)

    async def _part_with(self, client: Redis, over: Sequence[Shipment]) -> None:
        pipeline = client.pipeline(transaction=False)
        # Over a bound, or erased: others shall not know a part of it either.
        forgotten: list[Shipment] = []
        for shipment in over:
            if shipment.is_whole and not shipment.is_broken:
                finish(pipeline, shipment.id, shipment.inner.keep_for, self._process)
            else:
                forgotten.append(shipment)
        if forgotten:
            owners = {shipment.inner.owner for shipment in forgotten}
            names = {owner: self._records.seals.name_of(owner) for owner in owners}
            forget(
                pipeline,
                {shipment.id: names[shipment.inner.owner] for shipment in forgotten},
                self._process,
            )
        await pipeline.execute(raise_on_error=False)
