"""A router over upstreams that do what a test tells them to, provider by provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chuk.catalog.models import Model
from chuk.chat.breakers import BreakerRules, Breakers
from chuk.chat.command import ChatCommand, CompletionRequest, Message
from chuk.chat.events import Ended, Finished, Opened, UpstreamEvent, UpstreamUsage
from chuk.chat.losses import Losses
from chuk.chat.ports import Take, Wait
from chuk.chat.resolution import resolve
from chuk.chat.router import Router, RoutingRules, Service
from chuk.credits.ports import GenerationCost
from tests.chat.scripted_turns import MODEL, says

Step = Sequence[UpstreamEvent] | BaseException | Callable[[], object]
ANSWER: tuple[Step, ...] = (
    [Opened("gen", None)],
    [says("Hel")],
    [says("lo")],
    [Finished("stop"), UpstreamUsage(10, 40, 50), Ended()],
)


class Providers:
    """An upstream whose providers each follow a script: reads, errors, and calls in between.

    Attributes:
        asked: every request, in order.
    """

    def __init__(self, scripts: dict[str, tuple[Step, ...]] | None = None) -> None:
        self.scripts = scripts or {}
        self.asked: list[CompletionRequest] = []

    @property
    def slugs(self) -> list[str]:
        """Who was asked; each request must name exactly one."""
        assert all(len(each.providers) == 1 and not each.allow_fallbacks for each in self.asked)
        return [each.providers[0] for each in self.asked]

    async def complete(self, request: CompletionRequest, take: Take) -> None:
        """See `chuk.chat.ports.Upstream.complete`."""
        self.asked.append(request)
        for step in self.scripts.get(request.providers[0], ANSWER):
            if isinstance(step, BaseException):
                raise step
            if callable(step):
                result = step()
                if asyncio.iscoroutine(result):
                    await result
            elif (wait := take(step)) is not None:
                await wait()


@dataclass
class Taken:
    """What a turn was handed."""

    events: list[UpstreamEvent] = field(default_factory=list)

    def __call__(self, batch: Sequence[UpstreamEvent]) -> Wait | None:
        self.events += batch
        return None

    def kinds(self) -> list[str]:
        """The names of the events."""
        return [type(event).__name__ for event in self.events]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> Callable[[], object]:
        """A step of a script that takes its time."""

        def step() -> None:
            self.now += seconds

        return step


class Costs:
    """Upstream's books: every generation costs a cent there."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def cost_of(self, generation_id: str) -> GenerationCost | None:
        """See `chuk.credits.ports.GenerationCosts.cost_of`."""
        self.asked.append(generation_id)
        return GenerationCost(Decimal("0.01"), 1, 0)


async def at_once(seconds: float) -> None:
    """A sleep that takes no time."""


def a_router(
    providers: Providers,
    *,
    clock: Clock | None = None,
    costs: Costs | None = None,
    breaker: BreakerRules | None = None,
    **rules: Any,
) -> Router:
    """A router with one upstream, the one that `a_request` is for."""
    clock = clock or Clock()
    return Router(
        {"": Service(providers, can_ask=True)},
        rules=RoutingRules(**rules),
        breakers=Breakers(breaker or BreakerRules(failures=3), clock=clock),
        losses=Losses(costs, sleep=at_once),
        clock=clock,
    )


def a_request(model: Model = MODEL, **fields: Any) -> CompletionRequest:
    """A request as a turn makes it, with fallbacks unless it says otherwise."""
    usual: dict[str, Any] = {"allow_provider_fallbacks": True}
    command = ChatCommand(model.id, (Message("user", "Hello"),), **{**usual, **fields})
    return resolve(command, model).request
