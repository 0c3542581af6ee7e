"""Sends each request to the upstream where its model lives, and to a provider that works.

With fallbacks allowed, a failure before the first piece of an answer goes on to the next
provider. Each attempt names exactly one provider to upstream: so it is known who serves, what that
costs, and who failed. Nobody pays for an attempt that failed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from chuk.chat.attempt import Attempt
from chuk.chat.breakers import BreakerFacts, Breakers, BreakerState, Permit, Target
from chuk.chat.command import Candidate, CompletionRequest
from chuk.chat.events import Routed
from chuk.chat.losses import Losses
from chuk.chat.ports import Take, Upstream
from chuk.chat.throughput import Throughput
from chuk.counts import Counts
from chuk.errors import ChukError, ModelUnavailable
from chuk.logs import logger
from chuk.spans import NO_SPANS, Spans

_log = logger("routing")


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """How far a request is carried. Times are seconds.

    Attributes:
        by_throughput: further providers come by their measured speed; else by their price.
        attempts: providers asked for one turn at most.
        time: after which no further provider is asked.
        first_byte: for the first event of an answer, while there is another provider to ask.
    """

    by_throughput: bool = False
    attempts: int = 3
    time: float = 90.0
    first_byte: float = 30.0


@dataclass(frozen=True, slots=True)
class Service:
    """A configured upstream.

    Attributes:
        is_guarded: whether breakers watch it; a model that this server restarts by itself knows
            better when it can be asked.
        can_ask: whether it has books: it can be asked later what a request cost, and the cost
            that it names itself counts; else only the prices of the list do.
    """

    upstream: Upstream
    is_guarded: bool = True
    can_ask: bool = False


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """A provider that was asked since the start; `tokens_per_second` where it was measured."""

    breaker: BreakerFacts
    tokens_per_second: float | None


class Router:
    """Every configured upstream as one. Implements `chuk.chat.ports.Upstream`.

    Args:
        services: by the name that a model's `upstream` has.
        clock: seconds, never going back.
        spans: who is told of each attempt.

    Attributes:
        errors: attempts that failed, by upstream, provider and the code of their error.
        fallbacks: how often a turn went on to another provider since the start.
        passed_over: how often a provider was not asked because its breaker is open.
        losses: what failed attempts cost us.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        *,
        rules: RoutingRules,
        breakers: Breakers,
        losses: Losses,
        clock: Callable[[], float] = time.monotonic,
        spans: Spans = NO_SPANS,
    ) -> None:
        self.rules = rules
        self.errors = Counts()
        self.fallbacks = 0
        self.passed_over = 0
        self._services = services
        self._breakers = breakers
        self.losses = losses
        self._throughput = Throughput()
        self._clock = clock
        self._spans = spans

    async def complete(self, request: CompletionRequest, take: Take) -> None:
        """See `chuk.chat.ports.Upstream.complete`.

        Raises:
            ModelUnavailable: also where every provider that may serve is being left alone.
        """
        service = self._services.get(request.upstream)
        if service is None:
            # Its list is still known, but it is not configured any more.
            raise ModelUnavailable()
        kept = [request]
        del request
        await self._carried(kept, service, take)

    def report(self) -> list[ProviderReport]:
        """Every provider that was asked since the start, the latest last; nothing of any user."""
        return [
            ProviderReport(facts, self._throughput.of(facts.target))
            for facts in self._breakers.facts()
        ]

    def troubled(self) -> list[BreakerFacts]:
        """The providers that are being left alone, or tried again."""
        return [each for each in self._breakers.facts() if each.state is not BreakerState.CLOSED]

    async def close(self) -> None:
        """End what runs in the background."""
        await self.losses.close()

    async def _carried(self, kept: list[CompletionRequest], service: Service, take: Take) -> None:
        """Ask one provider after the other, until one begins to answer.

        The request is only kept as long as somebody else may have to be asked.
        """
        serving, queue = kept[0].candidates[0], self._in_order(kept[0])
        give_up_at = self._clock() + self.rules.time
        failure: ChukError | None = None
        attempts, shortest_wait = 0, math.inf
        for place, candidate in enumerate(queue):
            if attempts and (attempts >= self.rules.attempts or self._clock() >= give_up_at):
                break
            target = _target(kept[0], candidate)
            permit = self._entered(service, target)
            if isinstance(permit, float):
                shortest_wait = min(shortest_wait, permit)
                continue
            attempts += 1
            if failure is not None:
                self.fallbacks += 1
                await _stop_if_asked()
            if candidate is not serving:
                serving = candidate
                if (wait := take([Routed(candidate.provider)])) is not None:
                    await wait()
            attempt = Attempt(
                take,
                permit,
                slow_first_byte=self._breakers.rules.slow_first_byte,
                clock=self._clock,
                can_ask=service.can_ask,
                kept=kept,
            )
            is_last = attempts >= self.rules.attempts or place + 1 >= len(queue)
            patience = None
            # Who would be given up too late to ask another one, is waited for like the last.
            if not is_last and self._clock() + self.rules.first_byte < give_up_at:
                patience = self.rules.first_byte
            asked = _alone(kept, candidate, is_last=is_last)
            failure = await self._tried(attempt, target, service, asked, patience)
            if failure is None:
                self._measure(attempt, target)
                return
            _log.info(
                "attempt_failed",
                upstream=target.upstream,
                provider=target.provider,
                model=target.model,
                error=failure.code,
            )
        raise failure or ModelUnavailable(retry_after=max(1, math.ceil(shortest_wait)))

    async def _tried(
        self,
        attempt: Attempt,
        target: Target,
        service: Service,
        asked: list[CompletionRequest],
        patience: float | None,
    ) -> ChukError | None:
        """Make the attempt; what a failed one cost is nobody's but ours."""
        upstream, provider = target.upstream, target.provider
        with self._spans.span(
            "attempt", upstream=upstream, provider=provider, model=target.model
        ) as span:
            try:
                failure = await attempt.run(service.upstream, asked.pop(), patience)
            except ChukError as error:
                self.errors.add(upstream, provider, error.code)
                span.fail(error.code)
                if not attempt.has_output:
                    self.losses.note(attempt.generation_id, attempt.cost_usd)
                raise
            if failure is not None:
                self.errors.add(upstream, provider, failure.code)
                span.fail(failure.code)
                self.losses.note(attempt.generation_id, attempt.cost_usd)
            elif not attempt.is_paid:
                # One that was meant to be empty is no failure, but nobody pays for it either.
                self.losses.note(attempt.generation_id, attempt.cost_usd)
            return failure

    def _measure(self, attempt: Attempt, target: Target) -> None:
        if attempt.speaking_time is not None:
            self._throughput.note(target, attempt.completion_tokens - 1, attempt.speaking_time)

    def _in_order(self, request: CompletionRequest) -> Sequence[Candidate]:
        """The one asked for, then the others: the cheapest first, or the fastest."""
        first, *others = request.candidates
        if not request.allow_fallbacks:
            return (first,)
        if self.rules.by_throughput:

            def slowness(candidate: Candidate) -> float:
                return -(self._throughput.of(_target(request, candidate)) or 0.0)

            # Stable: who was never measured comes last, by price.
            others.sort(key=slowness)
        return (first, *others)

    def _entered(self, service: Service, target: Target) -> Permit | float:
        if not service.is_guarded:
            return Permit()
        permit = self._breakers.enter(target)
        if isinstance(permit, float):
            self.passed_over += 1
        return permit


async def _stop_if_asked() -> None:
    """Let a stop through that came too late for the attempt before: no other provider is asked."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        await asyncio.sleep(0)


def _target(request: CompletionRequest, candidate: Candidate) -> Target:
    return Target(request.upstream, candidate.provider.slug, request.model_id)


def _alone(
    kept: list[CompletionRequest], candidate: Candidate, *, is_last: bool
) -> list[CompletionRequest]:
    """The request for exactly this provider, within its own limits; to be taken out of the list.

    After the last one nobody would be asked, and nothing is kept.
    """
    request, provider = kept[0], candidate.provider
    if is_last:
        kept.clear()
    reasons = provider.supports("reasoning") or provider.supports("reasoning_effort")
    return [
        replace(
            request,
            providers=(provider.slug,),
            candidates=(candidate,),
            allow_fallbacks=False,
            max_tokens=min(request.max_tokens, candidate.max_tokens),
            reasoning_effort=request.reasoning_effort if reasons else None,
        )
    ]
