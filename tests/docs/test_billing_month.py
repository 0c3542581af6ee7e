"""The month of one person in docs/billing.md: lived again on a real server, to the last digit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chuk.accounts.issuer import DEFAULT_USER
from tests.api.billing_client import WEBHOOK, bought, status
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of
from tests.fakes.fal import FakeFal
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.stripe import FakeStripe
from tests.fakes.stripe_objects import Object
from tests.harness import MODEL, RunningServer

TEXT = (Path(__file__).parents[2] / "docs/billing.md").read_text("utf-8")
SECTION = TEXT.partition("## One month of one person")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.splitlines()
    if line.startswith("| ")
][1:]


@dataclass
class Month:
    """A person, and everybody who has a part in what they pay."""

    server: RunningServer
    openrouter: FakeOpenRouter
    stripe: FakeStripe
    subscription: Object | None = None

    async def heard(self) -> None:
        """Whatever happened at Stripe is told, again and again."""
        events = self.stripe.account.events.values()
        assert set(await self.stripe.deliver(f"{self.server.url}{WEBHOOK}", *events)) <= {200}

    async def asks(self, letters: int, prompt: int, answer: int, max_tokens: int) -> None:
        """One turn with a message of that many letters; upstream counts these tokens."""
        total = prompt + answer
        usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": total}
        groq = self.openrouter.model(MODEL).endpoint("groq")
        cost = float(groq.cost(prompt, answer))
        self.openrouter.script(Reply(content=["Hello"], usage={**usage, "cost": cost}))
        await self.server.chat("x" * letters, provider_slug="groq", max_tokens=max_tokens)

    async def is_refused(self) -> None:
        self.openrouter.script(Reply(status=500))
        body = {"model_id": MODEL, "message": "Hello", "provider_slug": "groq", "max_tokens": 4096}
        await ask(self.server, DEFAULT_USER, "/v1/ai/chat", method="POST", status=502, json=body)

    async def draws(self) -> None:
        body = {"prompt": "a lighthouse", "image_size": "square_hd"}
        await ask(self.server, DEFAULT_USER, "/v1/ai/generate-image", method="POST", json=body)

    async def subscribes(self) -> None:
        self.subscription = await bought(self.server, self.stripe)

    async def gets_back(self, cents: int) -> None:
        assert self.subscription is not None
        self.stripe.account.refund(self.subscription["latest_invoice"], cents)

    async def leaves(self) -> None:
        assert self.subscription is not None
        self.stripe.account.cancel(self.subscription["id"], at_period_end=True)

    async def sees_it_end(self) -> None:
        assert self.subscription is not None
        self.stripe.account.renew(self.subscription["id"])


Step = Callable[[Month], Awaitable[None]]

# By what the table says: what happens, and whether there is a receipt for it.
STEPS: dict[str, tuple[Step, bool]] = {
    "A first question; it uses a free message": (
        lambda month: month.asks(3_000, 712, 523, 4_096),
        True,
    ),
    "The subscription is paid: 20 €": (Month.subscribes, False),
    "The same question": (lambda month: month.asks(3_000, 712, 523, 4_096), True),
    "A long document, of 60,000 bytes": (
        lambda month: month.asks(60_000, 14_200, 1_900, 16_384),
        True,
    ),
    "The provider refuses": (Month.is_refused, True),
    "A picture of 1024 × 1024": (Month.draws, True),
    "5 € of the 20 € are refunded": (lambda month: month.gets_back(500), False),
    "The subscription is cancelled, to its end": (Month.leaves, False),
    "The period ends: what is left lapses": (Month.sees_it_end, False),
    "The same question, with a free message": (
        lambda month: month.asks(3_000, 712, 523, 4_096),
        True,
    ),
}


@pytest.fixture
async def month(start_server: StartServer, openrouter: FakeOpenRouter) -> AsyncIterator[Month]:
    async with FakeStripe() as stripe, FakeFal() as fal:
        environ = {"FAL_KEY": fal.key, "FAL_QUEUE_URL": fal.queue_url, **stripe.environ()}
        async with start_server(euros=0, **environ) as server:
            yield Month(server, openrouter, stripe)


async def test_the_month_is_as_it_is_told(month: Month) -> None:
    lived: list[list[str]] = []
    for what, (happens, has_receipt) in STEPS.items():
        await happens(month)
        await month.heard()
        held, charged = "", ""
        if has_receipt:
            receipt = (await receipts_of(month.server, DEFAULT_USER))[0]
            held, charged = (f"{receipt[name]:.6f}" for name in ("held_eur", "charged_eur"))
        left = await status(month.server)
        euros = f"{left['credits_remaining']:.6f}"
        lived.append([what, held, charged, euros, str(left["free_messages_remaining"])])
    assert [row[1:] for row in ROWS] == lived
