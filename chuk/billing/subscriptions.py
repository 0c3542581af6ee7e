"""Brings our records of a customer up to what Stripe says right now.

Whatever has happened, this does the same: read the present state from Stripe, enter what it
means in the ledger, write it as a whole. So the order of events does not matter.

In one process a customer is looked at by one at a time. Several processes are kept from leaving
an older state behind like this: whoever wrote a state reads Stripe again, and writes again
until what was read after the last writing is what was written. Of two that overlap, the one
that writes last has thus seen Stripe's state after that writing. A crash in between leaves the
event pending, and it is applied again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chuk.accounts.ports import DeletionStore
from chuk.billing.grants import ENDED, Grants
from chuk.billing.keyed_locks import KeyedLocks
from chuk.billing.ports import BillingStore, CustomerState, PaymentProvider, Subscription
from chuk.billing.status import LIVE
from chuk.errors import ServiceUnavailable
from chuk.logs import logger

_MOST_WRITES = 5


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What was found, and what it changed.

    Attributes:
        state: None where the customer is gone from Stripe.
        user_id: whose it is; None for a customer of nobody here.
        changes: for reports; of ids alone.
        is_locked: whether its account is under deletion, so that nothing was entered.
    """

    state: CustomerState | None
    user_id: UUID | None
    changes: tuple[str, ...] = ()
    is_locked: bool = False


class Subscriptions:
    """Our records of customers, and Stripe's.

    Args:
        deletions: an account under deletion is left to its deletion.
    """

    def __init__(
        self,
        store: BillingStore,
        provider: PaymentProvider,
        grants: Grants,
        deletions: DeletionStore,
    ) -> None:
        self._store = store
        self._provider = provider
        self._grants = grants
        self._deletions = deletions
        self._locks = KeyedLocks()

    async def sync(self, user_id: UUID) -> None:
        """Pull a user's state; nothing to do for one who was never a customer.

        Raises:
            ChukError: Stripe or the records cannot be asked right now.
        """
        customer_id = await self._store.customer_of(user_id)
        if customer_id is not None:
            await self.refresh(customer_id)

    async def refresh(self, customer_id: str) -> Refreshed:
        """Bring what we know of a customer up to the present.

        Raises:
            ChukError: Stripe or the records cannot be asked right now; nothing is lost by it.
        """
        async with self._locks.holding(customer_id):
            user_id = await self._store.user_of(customer_id)
            state = await self._provider.customer_state(customer_id)
            if state is None:
                return Refreshed(None, user_id, await self._forget(customer_id, user_id))
            changes: list[str] = []
            if user_id is None:
                if await self._is_left_behind(state):
                    await self._provider.delete_customer(customer_id)
                    return Refreshed(None, None, ("erased",))
                user_id = await self._adopt(state)
                if user_id is None:
                    return Refreshed(state, None)
                changes.append("linked")
            if await self._deletions.is_locked(user_id):
                return Refreshed(state, user_id, is_locked=True)
            # The ledger first: a subscription that is saved as ended has lapsed, whatever stops us.
            changes += await self._grants.apply(user_id, state)
            changes += await self._save(user_id, state)
            return Refreshed(state, user_id, tuple(changes))

    async def differences(self, customer_id: str) -> list[str]:
        """How our records differ from Stripe's; changes nothing."""
        user_id = await self._store.user_of(customer_id)
        state = await self._provider.customer_state(customer_id)
        if state is None:
            return ["is gone from Stripe"] if user_id is not None else []
        if user_id is None:
            if await self._is_left_behind(state):
                return ["is of an erased account"]
            return [] if state.user_id is None else ["is not known here"]
        found = []
        present = primary(state.subscriptions)
        if present is not None and present != await self._store.subscription(user_id):
            found.append("subscription")
        if await self._grants.is_missing(user_id, state):
            found.append("credits")
        return found

    async def erase(self, customer_id: str) -> None:
        """End everything at Stripe, then forget the customer; safe to repeat."""
        async with self._locks.holding(customer_id):
            await self._provider.delete_customer(customer_id)
            await self._store.unlink_customer(customer_id)

    async def _save(self, user_id: UUID, state: CustomerState) -> list[str]:
        present = primary(state.subscriptions)
        if present is None or present == await self._store.subscription(user_id):
            return []
        for _ in range(_MOST_WRITES):
            await self._store.save_subscription(user_id, present)
            after = primary(await self._provider.subscriptions(state.id))
            if after is None or after == present:
                return [f"saved {present.id}"]
            present = after
        raise ServiceUnavailable

    async def _adopt(self, state: CustomerState) -> UUID | None:
        """Tie a customer that was made for a user of ours whose records do not know it.

        It happens when the records were restored from before, or where a process stopped
        between making the customer and remembering it.
        """
        if state.user_id is None:
            return None
        linked = await self._store.link_customer(state.user_id, state.id)
        if linked != state.id:
            logger("billing").warning("second_customer_of_a_user")
            return None
        return state.user_id

    async def _is_left_behind(self, state: CustomerState) -> bool:
        """Whether it was made for an account whose deletion may not have found it.

        Stripe's search shows a customer only a while after it was made.
        """
        return state.user_id is not None and await self._deletions.is_locked(state.user_id)

    async def _forget(self, customer_id: str, user_id: UUID | None) -> tuple[str, ...]:
        """A customer deleted at Stripe has no subscription any more."""
        if user_id is None:
            return ()
        known = await self._store.subscription(user_id)
        if known is not None and known.customer_id == customer_id and known.status in LIVE:
            await self._grants.end(user_id, f"subscription:{known.id}:customer_deleted")
        # Last: whoever is stopped before it begins anew.
        await self._store.unlink_customer(customer_id)
        return ("unlinked",)


def primary(subscriptions: Sequence[Subscription]) -> Subscription | None:
    """The one that counts: live before not yet paid before ended, then the newest."""

    def rank(subscription: Subscription) -> int:
        return (subscription.status not in LIVE) + (subscription.status in ENDED)

    # The newest come first, and of equals `min` takes the first.
    return min(subscriptions, key=rank, default=None)
