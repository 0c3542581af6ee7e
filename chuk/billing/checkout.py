"""The pages at Stripe to which a user is sent: to subscribe, and to manage the subscription."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from chuk.billing.keyed_locks import KeyedLocks
from chuk.billing.ports import BillingStore, CheckoutOrder, CustomerState, PaymentProvider
from chuk.billing.status import is_live
from chuk.billing.subscriptions import Subscriptions
from chuk.clock import Clock, utc_now
from chuk.errors import AlreadySubscribed, Forbidden, NoSubscription, ProviderError

_TIME_TO_PAY = timedelta(minutes=10)
_MOST_CUSTOMERS = 3
_FAILED = "The payment provider answered with an error. Please try again."


@dataclass(frozen=True, slots=True)
class CheckoutTerms:
    """What is sold, and how."""

    price_id: str
    promotion_codes: bool = False
    automatic_tax: bool = False

    def order(self, customer_id: str, user_id: UUID, app_url: str) -> CheckoutOrder:
        """The page for one user."""
        return CheckoutOrder(
            customer_id=customer_id,
            user_id=user_id,
            price_id=self.price_id,
            success_url=f"{app_url}/billing/success",
            cancel_url=f"{app_url}/billing/cancel",
            promotion_codes=self.promotion_codes,
            automatic_tax=self.automatic_tax,
        )


class Checkout:
    """Sends users to Stripe.

    A double click makes one customer and one page, from two processes too: the keys under which
    they are made name what was there before, so that both ask for the same. They name the hour
    as well, because Stripe remembers a failure under its key for a day.
    """

    def __init__(
        self,
        store: BillingStore,
        provider: PaymentProvider,
        subscriptions: Subscriptions,
        terms: CheckoutTerms,
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._provider = provider
        self._subscriptions = subscriptions
        self._terms = terms
        self._clock = clock
        self._locks = KeyedLocks()

    async def start(self, user_id: UUID, app_url: str) -> str:
        """The address of a page on which the user subscribes; an open one is used again.

        Args:
            app_url: where people come back to, without a slash at the end.

        Raises:
            AlreadySubscribed: a subscription is live at Stripe: `chuk.billing.status.LIVE`.
            Forbidden: the account is locked for deletion.
            ChukError: Stripe refuses, fails or is too slow.
        """
        async with self._locks.holding(user_id):
            state = await self._customer(user_id)
            if any(map(is_live, state.subscriptions)):
                raise AlreadySubscribed
            return await self._page(self._terms.order(state.id, user_id, app_url))

    async def portal(self, user_id: UUID, app_url: str) -> str:
        """The address of a page on which the user manages the subscription.

        Args:
            app_url: where people come back to, without a slash at the end.

        Raises:
            NoSubscription: the user was never a customer, or was deleted as one.
            ChukError: Stripe refuses, fails or is too slow.
        """
        customer_id = await self._store.customer_of(user_id)
        if customer_id is None:
            raise NoSubscription
        url = await self._provider.create_portal(customer_id, f"{app_url}/billing")
        if url is None:
            await self._subscriptions.refresh(customer_id)
            raise NoSubscription
        return url

    async def _customer(self, user_id: UUID) -> CustomerState:
        """The user's customer, made where there is none, as it is at Stripe now."""
        customer_id: str | None = await self._store.customer_of(user_id)
        before = "first"
        for _ in range(_MOST_CUSTOMERS):
            if customer_id is None:
                made = await self._provider.create_customer(
                    user_id, f"customer:{user_id}:{before}:{self._hour()}"
                )
                customer_id = await self._link(user_id, made)
            found = await self._subscriptions.refresh(customer_id)
            if found.is_locked:
                raise Forbidden
            if found.state is not None:
                return found.state
            # It was deleted at Stripe, and is forgotten here by now.
            before, customer_id = customer_id, None
        raise ProviderError(_FAILED)

    async def _link(self, user_id: UUID, made: str) -> str:
        """Tie a new customer to its user; returns the one that is tied."""
        try:
            return await self._store.link_customer(user_id, made)
        except Forbidden:
            # The deletion has looked for customers already, and would not find this one.
            await self._provider.delete_customer(made)
            raise

    async def _page(self, order: CheckoutOrder) -> str:
        pages = await self._provider.checkout_sessions(order.customer_id)
        for page in pages:
            if not page.is_open:
                continue
            if page.terms == order.terms and page.url and self._leaves_time(page.expires_at):
                return page.url
            # So that no two pages can both be paid.
            await self._provider.expire_checkout(page.id)
        # One of them may have been paid since the customer was looked at; none can be any more.
        if pages and any(map(is_live, await self._provider.subscriptions(order.customer_id))):
            raise AlreadySubscribed
        before = pages[0].id if pages else "first"
        made = await self._provider.create_checkout(
            order, f"checkout:{order.customer_id}:{before}:{order.terms}:{self._hour()}"
        )
        if not made.url:
            raise ProviderError(_FAILED)
        return made.url

    def _leaves_time(self, expires_at: datetime) -> bool:
        return expires_at - self._clock() > _TIME_TO_PAY

    def _hour(self) -> str:
        return self._clock().strftime("%Y%m%d%H")
