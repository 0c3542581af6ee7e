"""The books of one turn: what it may cost, what it holds, what it took."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from chuk.catalog.models import Provider
from chuk.chat.command import CompletionRequest
from chuk.chat.resolution import Resolution
from chuk.chat.token_estimate import cautious_prompt_tokens
from chuk.credits.estimate import Estimate
from chuk.credits.intents import with_real_cost
from chuk.credits.ledger import Basis, Operation, Outcome, Progress, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.pricing import PriceList, tokens_usd
from chuk.credits.service import Credits, Order, Payment

_NOTE_INTERVAL = 10.0

# The catalogue holds no other providers (contract §7), and upstream checks it once more.
_IS_ZDR = True


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """What is known of a turn when it ends.

    Attributes:
        has_delivered: whether any piece of an answer went out, or none was to.
        prompt_tokens, completion_tokens, total_tokens: by upstream's count, else by ours.
        is_counted: whether they are upstream's.
        cost_usd: upstream's own cost, where it named one.
        cached_tokens, cache_write_tokens: the prompt's, by upstream's count.
        provider: who answered, or was to answer.
    """

    has_delivered: bool
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    is_counted: bool
    cost_usd: Decimal | None
    provider: Provider
    generation_id: str | None
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TurnReceipt:
    """What a turn took, as its user is told at its end.

    Attributes:
        held: what was set aside; 0 for a free message.
        charged: what it costs; what we count so far where `is_estimated`.
        is_estimated: upstream did not count, or has not said yet; the usage list will.
        provider: its slug.
    """

    held: MicroEuro
    charged: MicroEuro
    basis: Basis
    is_estimated: bool
    is_free_message: bool
    is_zdr: bool
    provider: str
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def nothing_taken(provider: Provider) -> TurnReceipt:
    """The receipt of a turn that was stopped before it held anything."""
    return TurnReceipt(
        held=MicroEuro(0),
        charged=MicroEuro(0),
        basis=Basis.NOTHING,
        is_estimated=False,
        is_free_message=False,
        is_zdr=_IS_ZDR,
        provider=provider.slug,
        prompt_tokens=0,
        completion_tokens=0,
        total_tokens=0,
    )


def estimate_of(resolution: Resolution, prices: PriceList) -> Estimate:
    """The bounds of what a turn costs, at the dearest of the providers that may serve."""
    providers: tuple[Provider, ...] = (resolution.provider,)
    if resolution.request.allow_fallbacks:
        providers = tuple(map(resolution.model.provider, resolution.request.providers))
    return Estimate(
        prices=prices,
        pricings=tuple(provider.pricing for provider in providers),
        prompt_tokens=cautious_prompt_tokens(resolution.prompt_tokens, resolution.images),
        max_tokens=resolution.request.max_tokens,
        images=resolution.images,
    )


class TurnBooks:
    """Opened before upstream is asked, closed exactly once, whatever happened in between.

    Args:
        api_key_id: the personal API key that asked; None: the signed-in user.
    """

    __slots__ = (
        "_api_key_id",
        "_images",
        "_is_free_of_charge",
        "_model_id",
        "_noted_at",
        "_noted_id",
        "_payment",
        "_service",
        "_tags",
    )

    def __init__(self, service: Credits, api_key_id: UUID | None = None) -> None:
        self._service = service
        self._api_key_id = api_key_id
        self._payment: Payment | None = None
        self._model_id = ""
        self._images = 0
        self._is_free_of_charge = False
        self._tags: Mapping[str, str] = {}
        self._noted_id: str | None = None
        self._noted_at = 0.0

    @property
    def is_free_message(self) -> bool:
        """Whether a free message stands in for credits."""
        return self._payment is not None and self._payment.hold.is_free_message

    async def open(
        self,
        resolution: Resolution,
        stream_id: str,
        user_id: UUID,
        tags: Mapping[str, str] | None = None,
    ) -> CompletionRequest:
        """Hold what the turn may cost; returns the request, no longer than the hold affords.

        Raises:
            InsufficientCredits: neither credits nor a free message.
            QuotaExceeded: the user's own spending cap leaves too little.
            Forbidden: the account is locked.
            ServiceUnavailable: the books cannot be reached.
        """
        estimate = estimate_of(resolution, self._service.prices)
        at_most = estimate.at_most
        payment = await self._service.open(
            Order(
                id=stream_id,
                user_id=user_id,
                operation=Operation.CHAT,
                model_id=resolution.model.id,
                provider_slug=resolution.provider.slug,
                at_most=at_most,
                at_least=estimate.at_least,
                allows_free_message=True,
                is_zdr=_IS_ZDR,
                api_key_id=self._api_key_id,
            )
        )
        self._payment = payment
        self._model_id = resolution.model.id
        self._images = resolution.images
        self._is_free_of_charge = estimate.is_free_of_charge
        self._tags = tags or {}
        if payment.hold.is_free_message or payment.hold.amount >= at_most:
            return resolution.request
        affordable = estimate.affordable_tokens(payment.hold.amount)
        return replace(resolution.request, max_tokens=affordable)

    def note(
        self,
        now: float,
        *,
        generation_id: str | None,
        provider: Provider,
        prompt_tokens: int,
        completion_tokens: int,
    ) -> None:
        """Keep what is known, for a crash: a new generation id at once, counts now and then.

        Cheap to call often; nothing is waited for. `now` is the event loop's time.
        """
        payment = self._payment
        # Where nothing is charged, nothing can be lost.
        if payment is None or payment.is_resolved or self._is_free_of_charge:
            return
        if generation_id == self._noted_id and now - self._noted_at < _NOTE_INTERVAL:
            return
        self._noted_id, self._noted_at = generation_id, now
        cost_usd = self._cost_usd(provider, prompt_tokens, completion_tokens)
        payment.note(
            Progress(
                generation_id=generation_id,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                # Of what was delivered: with no answer yet there is nothing to pay for.
                cost=self._service.prices.in_euros(cost_usd) if completion_tokens else MicroEuro(0),
                cost_usd=cost_usd if completion_tokens else Decimal(0),
            )
        )

    async def close(self, outcome: Outcome, facts: TurnFacts) -> TurnReceipt:
        """Take what the turn cost, or nothing; writes its usage row.

        Books that cannot be reached do not fail here: they are written as soon as they can be.
        """
        payment = self._payment
        if payment is None:
            raise RuntimeError("books that were never opened")
        if outcome is Outcome.FAILED and facts.has_delivered:
            outcome = Outcome.INTERRUPTED
        usage = self._usage(outcome, facts)
        if self._costs_nothing(payment, outcome, facts):
            usage = replace(usage, basis=Basis.NOTHING, cost_usd=facts.cost_usd or Decimal(0))
            await payment.release(usage)
            return _receipt(payment, usage, MicroEuro(0))
        if usage.basis is Basis.ESTIMATE and self._is_worth_asking(payment, facts):
            return await self._close_by_asking(payment, usage, facts)
        cost = self._service.prices.in_euros(usage.cost_usd)
        return _receipt(payment, usage, await payment.settle(cost, usage))

    async def _close_by_asking(
        self, payment: Payment, usage: UsageRecord, facts: TurnFacts
    ) -> TurnReceipt:
        """The turn was cut before upstream counted: its own books know what it charged."""
        prices = self._service.prices
        ours: MicroEuro | None = prices.in_euros(usage.cost_usd)
        if not facts.has_delivered:
            ours, usage = None, replace(usage, basis=Basis.UNKNOWN, cost_usd=Decimal(0))
        try:
            real = await self._service.cost_soon(facts.generation_id or "")
        except asyncio.CancelledError:
            payment.settle_when_known(ours, usage)
            raise
        if real is None:
            payment.settle_when_known(ours, usage)
            return _receipt(payment, usage, ours or MicroEuro(0))
        usage = with_real_cost(usage, real)
        cost = prices.in_euros(real.cost_usd)
        return _receipt(payment, usage, await payment.settle(cost, usage))

    def _costs_nothing(self, payment: Payment, outcome: Outcome, facts: TurnFacts) -> bool:
        if facts.has_delivered:
            return False
        if outcome in (Outcome.FAILED, Outcome.COMPLETED) or payment.hold.is_free_message:
            return True
        # Stopped before the first word: what upstream charged for the prompt, if it says so.
        return facts.cost_usd is None and not self._is_worth_asking(payment, facts)

    def _is_worth_asking(self, payment: Payment, facts: TurnFacts) -> bool:
        return (
            facts.generation_id is not None
            and self._service.can_ask
            and not payment.hold.is_free_message
            and not self._is_free_of_charge
        )

    def _usage(self, outcome: Outcome, facts: TurnFacts) -> UsageRecord:
        cost_usd = facts.cost_usd
        if cost_usd is not None:
            basis = Basis.UPSTREAM
        else:
            basis = Basis.TOKENS if facts.is_counted else Basis.ESTIMATE
            cost_usd = self._cost_usd(
                facts.provider,
                facts.prompt_tokens,
                facts.completion_tokens,
                cached_tokens=facts.cached_tokens,
                cache_write_tokens=facts.cache_write_tokens,
            )
        return UsageRecord(
            model_id=self._model_id,
            provider_slug=facts.provider.slug,
            prompt_tokens=facts.prompt_tokens,
            completion_tokens=facts.completion_tokens,
            total_tokens=facts.total_tokens,
            cost_usd=cost_usd,
            outcome=outcome,
            basis=basis,
            is_zdr=_IS_ZDR,
            generation_id=facts.generation_id,
            tags=self._tags,
        )

    def _cost_usd(
        self, provider: Provider, prompt_tokens: int, completion_tokens: int, **cache: int
    ) -> Decimal:
        return tokens_usd(
            provider.pricing,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            images=self._images,
            **cache,
        )


def _receipt(payment: Payment, usage: UsageRecord, charged: MicroEuro) -> TurnReceipt:
    return TurnReceipt(
        held=payment.hold.amount,
        charged=charged,
        basis=usage.basis,
        is_estimated=usage.basis in (Basis.ESTIMATE, Basis.UNKNOWN),
        is_free_message=payment.hold.is_free_message,
        is_zdr=usage.is_zdr,
        provider=usage.provider_slug,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total_tokens,
    )
