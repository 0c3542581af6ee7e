"""Who keeps the promise of a key: Redis for all processes, or a file of this one's own."""

from __future__ import annotations

from uuid import UUID

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.idempotency import RedisIdempotency
from chuk.adapters.sqlite.idempotency import FILE_NAME, SqliteIdempotency
from chuk.app.sealing import stream_seals
from chuk.chat.generation import new_stream_id
from chuk.credits.ports import LedgerStore
from chuk.idempotency.ports import IdempotencyStore
from chuk.idempotency.service import Idempotency
from chuk.settings import Settings


def make_idempotency(
    settings: Settings,
    ledger: LedgerStore,
    owner: str,
    connection: RedisConnection | None,
) -> Idempotency:
    """The service; nothing is opened yet.

    Args:
        owner: this process, unlike any other.
        connection: where there is Redis.

    Raises:
        OSError: the data folder cannot be written.
    """
    store: IdempotencyStore
    if connection is not None:
        store = RedisIdempotency(connection, stream_seals(settings))
    else:
        store = SqliteIdempotency(settings.server.data_dir / FILE_NAME)
    return Idempotency(
        store,
        ledger,
        process=owner,
        lease=settings.credits.hold_lease,
        make_id=new_stream_id,
    )


class KeyedWork:
    """The step of a deletion that ends and forgets what was asked for with a key."""

    name = "keyed_requests"

    def __init__(self, idempotency: Idempotency) -> None:
        self._idempotency = idempotency

    async def run(self, user_id: UUID) -> None:
        """End this process's jobs of the user; forget all claims and what they came to."""
        await self._idempotency.forget(user_id)
