"""Pictures on order: hold, have it painted, keep it, settle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from secrets import randbelow
from typing import Protocol
from uuid import UUID, uuid4

from chuk.credits.ledger import Basis, Operation, Outcome, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.service import Credits, Order
from chuk.errors import GenerationFailed, InvalidDimensions, InvalidPrompt, ProviderTimeout
from chuk.logs import log_failure
from chuk.media.pictures import MAX_BYTES, Pictures
from chuk.media.ports import Commission, Painter, Painting

LONGEST_PROMPT = 1_000
SHORTEST_SIDE, LONGEST_SIDE = 64, 2_048
MAX_SEED = 2**53 - 1
"""Every JSON reader can say it exactly."""

_PRICED_PIXELS = 2**20
_CENT = 10_000
_RANDOM_SEEDS = 2**31
# What `total_tokens` counts for a picture: pictures.
_ONE_PICTURE = 1


class Slots(Protocol):
    """Lets only so many work at once, fairly between users."""

    def slot(self, user_id: UUID) -> AbstractAsyncContextManager[None]:
        """Wait for a place.

        Raises:
            ServiceUnavailable: too many wait already.
        """
        ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture that can be had.

    Attributes:
        name: under which `Pictures` finds it.
        cost: what its user pays.
    """

    name: str
    width: int
    height: int
    seed: int
    cost: MicroEuro


def picture_price(width: int, height: int, per_million: Decimal) -> MicroEuro:
    """What a picture costs: so much for 2^20 pixels, rounded up to the cent.

    Args:
        per_million: euros for 2^20 pixels.
    """
    cents = per_million * 100 * width * height / _PRICED_PIXELS
    return MicroEuro(int(cents.to_integral_value(rounding=ROUND_CEILING)) * _CENT)


def check_commission(prompt: str, width: int, height: int) -> None:
    """Refuse what cannot be drawn.

    Raises:
        InvalidPrompt: blank, or over `LONGEST_PROMPT` characters.
        InvalidDimensions: a side out of range.
    """
    if not prompt.strip() or len(prompt) > LONGEST_PROMPT:
        raise InvalidPrompt
    if not all(SHORTEST_SIDE <= side <= LONGEST_SIDE for side in (width, height)):
        raise InvalidDimensions


class Drawing:
    """Draws for users.

    Args:
        price: euros for 2^20 pixels; 0: nothing is charged, and no credits are needed.
        timeout: seconds for one picture.
        slots: where the painter works on this machine.
    """

    def __init__(
        self,
        painter: Painter,
        pictures: Pictures,
        credit_service: Credits,
        *,
        price: Decimal,
        timeout: float,
        slots: Slots | None = None,
    ) -> None:
        self._painter = painter
        self._pictures = pictures
        self._credits = credit_service
        self._price = price
        self._timeout = timeout
        self._slots = slots

    async def draw(
        self,
        user_id: UUID,
        prompt: str,
        *,
        width: int,
        height: int,
        seed: int | None = None,
        order_id: str | None = None,
        api_key_id: UUID | None = None,
    ) -> Drawn:
        """Draw one picture and keep it. Being cancelled gives the credits back.

        Args:
            order_id: unlike any other; made here unless given.
            api_key_id: the personal API key that asked; None: the signed-in user.

        Raises:
            InvalidPrompt, InvalidDimensions: see `check_commission`.
            InsufficientCredits, QuotaExceeded, Forbidden, ServiceUnavailable: see `Credits.open`.
            ProviderTimeout: not ready in time.
            ChukError: see `Painter.paint`.
        """
        check_commission(prompt, width, height)
        chosen = randbelow(_RANDOM_SEEDS) if seed is None else seed
        cost = picture_price(width, height, self._price)
        painter = self._painter
        order = Order(
            id=order_id or f"img_{uuid4().hex}",
            user_id=user_id,
            operation=Operation.IMAGE,
            model_id=painter.model_id,
            provider_slug=painter.provider_slug,
            at_most=cost,
            at_least=cost,
            is_zdr=painter.is_zdr,
            api_key_id=api_key_id,
        )
        async with self._credits.hold(order) as payment:
            painting = await self._painted(user_id, Commission(prompt, width, height, chosen))
            name = await self._kept(painting)
            await payment.settle(cost, self._usage(order, cost))
        return Drawn(name, width, height, painting.seed, cost)

    async def _painted(self, user_id: UUID, commission: Commission) -> Painting:
        try:
            async with asyncio.timeout(self._timeout), self._place(user_id):
                painting = await self._painter.paint(commission)
        except TimeoutError:
            raise ProviderTimeout from None
        if len(painting.data) > MAX_BYTES:
            raise GenerationFailed
        return painting

    @asynccontextmanager
    async def _place(self, user_id: UUID) -> AsyncIterator[None]:
        if self._slots is None:
            yield
        else:
            async with self._slots.slot(user_id):
                yield

    async def _kept(self, painting: Painting) -> str:
        try:
            return await self._pictures.save(painting.data, painting.kind)
        except OSError as error:
            log_failure("pictures", error)
            raise GenerationFailed from None

    def _usage(self, order: Order, cost: MicroEuro) -> UsageRecord:
        return UsageRecord(
            model_id=order.model_id,
            provider_slug=order.provider_slug,
            prompt_tokens=0,
            completion_tokens=0,
            total_tokens=_ONE_PICTURE,
            cost_usd=self._credits.prices.in_dollars(cost),
            outcome=Outcome.COMPLETED,
            basis=Basis.ESTIMATE,
            is_zdr=order.is_zdr,
        )
