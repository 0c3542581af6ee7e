"""A failure before the first word goes on to the next provider; after it, never."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from chuk.catalog.models import Model
from chuk.chat.breakers import BreakerRules
from chuk.chat.command import Extras
from chuk.chat.events import Ended, Finished, Opened, Reasoning, Routed, ToolCalls, UpstreamUsage
from chuk.errors import (
    ChukError,
    ContentFiltered,
    ContextTooLong,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    RequestRefused,
    ServiceUnavailable,
    StreamInterrupted,
)
from tests.chat.routed import ANSWER, Clock, Costs, Providers, Step, Taken, a_request, a_router
from tests.chat.scripted_turns import MODEL, says, settle

ORDER = ["one/fp8", "one/bf16", "two"]
PASSING = [
    ProviderError(),
    ModelUnavailable(retry_after=7),
    ServiceUnavailable(),
    ProviderTimeout(),
    RequestRefused(),
]
FINAL = [
    ContextTooLong(max_tokens=1, requested_tokens=2, model="m"),
    ContentFiltered(),
    StreamInterrupted(),
]


def by_name(error: ChukError) -> str:
    return type(error).__name__


async def test_who_answers_is_the_only_one_asked() -> None:
    providers, taken = Providers(), Taken()
    await a_router(providers).complete(a_request(), taken)
    assert providers.slugs == ORDER[:1]
    assert taken.events == [event for step in ANSWER for event in step]  # type: ignore[union-attr]


@pytest.mark.parametrize("error", PASSING, ids=by_name)
async def test_a_failure_before_the_first_word_goes_on_to_the_cheapest_other(
    error: ChukError,
) -> None:
    providers = Providers({"two": (error,), "one/fp8": ([Opened("gen-1")], error)})
    taken, router = Taken(), a_router(providers)
    await router.complete(a_request(provider_slug="two"), taken)
    assert providers.slugs == ["two", "one/fp8", "one/bf16"]
    assert taken.kinds()[:5] == ["Routed", "Opened", "Routed", "Opened", "Content"]
    assert [e.provider.slug for e in taken.events if isinstance(e, Routed)] == ORDER[:2]
    assert router.fallbacks == 2


@pytest.mark.parametrize("error", FINAL, ids=by_name)
async def test_what_is_not_the_providers_fault_is_told_at_once(error: ChukError) -> None:
    providers = Providers({"one/fp8": (error,)})
    with pytest.raises(type(error)):
        await a_router(providers).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:1]


@pytest.mark.parametrize(
    "first",
    [says("a"), Reasoning([b"hm"]), ToolCalls([b"{}"])],
    ids=["content", "reasoning", "tool call"],
)
@pytest.mark.parametrize("error", PASSING, ids=by_name)
async def test_after_the_first_piece_of_an_answer_nobody_else_is_asked(
    error: ChukError, first: Reasoning
) -> None:
    providers = Providers({"one/fp8": ([Opened("gen-1"), first], error)})
    with pytest.raises(type(error)):
        await a_router(providers).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:1]


@pytest.mark.parametrize("error", PASSING, ids=by_name)
async def test_without_fallbacks_exactly_the_provider_asked_for(error: ChukError) -> None:
    providers, taken = Providers({"one/bf16": (error,)}), Taken()
    request = a_request(provider_slug="one/bf16", allow_provider_fallbacks=False)
    with pytest.raises(type(error)) as caught:
        await a_router(providers).complete(request, taken)
    assert caught.value is error
    assert providers.slugs == ["one/bf16"]
    assert taken.events == []


@pytest.mark.parametrize("reason", ["stop", "error", "other", None])
async def test_an_answer_without_a_word_counts_as_a_failure(reason: str | None) -> None:
    end = [Finished(reason)] if reason else []
    providers, taken = Providers({"one/fp8": ([Opened("gen-1"), *end, Ended()],)}), Taken()
    await a_router(providers).complete(a_request(), taken)
    assert providers.slugs == ORDER[:2]
    assert "Content" in taken.kinds()


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_was_meant_to_be_empty_is_one(reason: str) -> None:
    providers = Providers({"one/fp8": ([Finished(reason), Ended()],)})
    await a_router(providers).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:1]


async def test_the_last_failure_is_the_one_told() -> None:
    scripts = {"one/fp8": (ProviderError(),), "one/bf16": (ModelUnavailable(retry_after=9),)}
    providers = Providers({**scripts, "two": (ProviderTimeout(),)})
    with pytest.raises(ProviderTimeout):
        await a_router(providers).complete(a_request(), Taken())
    assert providers.slugs == ORDER


async def test_attempts_are_limited() -> None:
    providers = Providers(dict.fromkeys(ORDER, (ProviderError(),)))
    with pytest.raises(ProviderError):
        await a_router(providers, attempts=2).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:2]


async def test_after_some_time_nobody_else_is_asked() -> None:
    clock = Clock()
    providers = Providers(dict.fromkeys(ORDER, (clock.passes(50), ProviderError())))
    with pytest.raises(ProviderError):
        await a_router(providers, clock=clock, time=90).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:2]


async def test_who_is_asked_last_is_not_hurried_by_the_little_time_that_is_left() -> None:
    clock, waits, taken = Clock(), asyncio.Event(), Taken()
    asyncio.get_running_loop().call_later(0.05, waits.set)
    scripts: dict[str, tuple[Step, ...]] = {
        "one/fp8": (clock.passes(89.99), ProviderError()),
        "one/bf16": (waits.wait, *ANSWER),
    }
    providers = Providers(scripts)
    router = a_router(providers, clock=clock, time=90, breaker=BreakerRules(failures=1))
    await router.complete(a_request(), taken)
    assert providers.slugs == ORDER[:2]
    assert "Content" in taken.kinds()
    # Nobody would have been asked after it, and it did nothing wrong.
    assert [each.target.provider for each in router.troubled()] == ["one/fp8"]


async def test_one_that_fails_at_once_with_little_time_left_is_followed_by_another() -> None:
    clock, taken = Clock(), Taken()
    providers = Providers({"one/fp8": (clock.passes(80), ProviderError())})
    providers.scripts["one/bf16"] = (ProviderError(),)
    await a_router(providers, clock=clock, time=90).complete(a_request(), taken)
    assert providers.slugs == ORDER
    assert "Content" in taken.kinds()


async def test_a_first_byte_that_does_not_come_goes_on_to_the_next() -> None:
    never = asyncio.Event().wait
    providers, taken = Providers({"one/fp8": ([], never)}), Taken()
    await a_router(providers, first_byte=0.01).complete(a_request(), taken)
    assert providers.slugs == ORDER[:2]
    assert "Content" in taken.kinds()


async def test_what_comes_once_the_next_one_is_due_is_not_passed_on() -> None:
    """The time is over, and the first word comes before the attempt has ended."""
    taken = Taken()

    class Late(Providers):
        async def complete(self, request, take):  # type: ignore[no-untyped-def]
            if request.providers[0] == "one/fp8":
                self.asked.append(request)
                try:
                    await asyncio.Event().wait()
                finally:
                    take([Opened("gen-1"), says("too late")])
            else:
                await super().complete(request, take)

    providers = Late()
    await a_router(providers, first_byte=0.01).complete(a_request(), taken)
    assert providers.slugs == ORDER[:2]
    assert says("too late") not in taken.events


async def test_a_slow_answer_that_has_begun_is_waited_for() -> None:
    slow: tuple[Step, ...] = (
        [Opened("gen-1")],
        lambda: asyncio.sleep(0.03),
        [says("a")],
        lambda: asyncio.sleep(0.03),
        [Finished("stop"), Ended()],
    )
    providers = Providers({"one/fp8": slow})
    await a_router(providers, first_byte=0.01).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:1]


async def test_the_last_one_is_waited_for_by_whoever_asked() -> None:
    slow = (lambda: asyncio.sleep(0.03), *ANSWER)
    providers = Providers({"one/fp8": (ProviderError(),), "one/bf16": slow})
    await a_router(providers, first_byte=0.01, attempts=2).complete(a_request(), Taken())
    assert providers.slugs == ORDER[:2]


async def test_after_a_stop_nobody_else_is_asked() -> None:
    """The stop came while the attempt was failing by itself."""
    stop: list[asyncio.Task[None]] = []

    def stopped() -> None:
        stop[0].cancel()

    providers = Providers({"one/fp8": (stopped, ProviderError())})
    stop.append(asyncio.create_task(a_router(providers).complete(a_request(), Taken())))
    with pytest.raises(asyncio.CancelledError):
        await stop[0]
    assert providers.slugs == ORDER[:1]


async def test_each_is_asked_within_its_own_limits() -> None:
    first, second, third = MODEL.providers
    model = replace(
        MODEL,
        providers=(
            replace(first, max_completion_tokens=3_000, parameters=frozenset({"reasoning"})),
            replace(second, max_completion_tokens=1_000, parameters=frozenset()),
            replace(third, max_completion_tokens=5_000),
        ),
        supports_reasoning=True,
    )
    providers = Providers({"one/fp8": (ProviderError(),), "one/bf16": (ProviderError(),)})
    request = a_request(model, max_tokens=4_000, reasoning_effort="low")
    await a_router(providers).complete(request, Taken())
    # What is held is for the first one's limit.
    assert [each.max_tokens for each in providers.asked] == [3_000, 1_000, 3_000]
    assert [each.reasoning_effort for each in providers.asked] == ["low", None, "low"]


async def test_a_provider_that_is_left_alone_is_passed_over_and_comes_back() -> None:
    clock = Clock()
    providers = Providers({"one/fp8": (ProviderError(),)})
    router = a_router(providers, clock=clock, breaker=BreakerRules(failures=2, pause=30))
    for _ in range(3):
        await router.complete(a_request(), Taken())
    assert providers.slugs == [*ORDER[:2], *ORDER[:2], "one/bf16"]
    assert [each.target.provider for each in router.troubled()] == ["one/fp8"]
    clock.now += 30
    providers.scripts = {}
    taken = Taken()
    await router.complete(a_request(), taken)
    assert providers.slugs[-1] == "one/fp8"
    assert "Routed" not in taken.kinds()
    assert router.troubled() == []


async def test_without_fallbacks_a_provider_left_alone_is_unavailable_at_once() -> None:
    clock = Clock()
    providers = Providers({"one/fp8": (ProviderError(),)})
    router = a_router(providers, clock=clock, breaker=BreakerRules(failures=2, pause=30))
    request = a_request(allow_provider_fallbacks=False)
    for _ in range(2):
        with pytest.raises(ProviderError):
            await router.complete(request, Taken())
    clock.now += 4.5
    with pytest.raises(ModelUnavailable) as caught:
        await router.complete(request, Taken())
    assert caught.value.details == {"retry_after": 26}
    assert len(providers.asked) == 2


@pytest.mark.parametrize("error", [*FINAL[:2], RequestRefused()], ids=by_name)
async def test_a_users_fault_is_never_a_providers(error: ChukError) -> None:
    providers = Providers({"one/fp8": (error,)})
    router = a_router(providers, breaker=BreakerRules(failures=1))
    for _ in range(3):
        with pytest.raises(type(error)):
            await router.complete(a_request(allow_provider_fallbacks=False), Taken())
    assert router.troubled() == []


async def test_a_slow_first_byte_counts_though_the_answer_came() -> None:
    clock = Clock()
    providers = Providers({"one/fp8": (clock.passes(31), *ANSWER)})
    router = a_router(
        providers, clock=clock, breaker=BreakerRules(failures=2, slow_first_byte=30, pause=5)
    )
    for _ in range(2):
        await router.complete(a_request(), Taken())
    assert [each.target.provider for each in router.troubled()] == ["one/fp8"]


@pytest.mark.parametrize(("seconds", "is_blamed"), [(29, False), (31, True)])
async def test_who_gives_up_waiting_blames_only_the_slow(seconds: float, is_blamed: bool) -> None:
    clock, waits = Clock(), asyncio.Event()
    providers = Providers({"one/fp8": (clock.passes(seconds), waits.wait)})
    router = a_router(providers, clock=clock, breaker=BreakerRules(failures=1, slow_first_byte=30))
    asking = asyncio.create_task(
        router.complete(a_request(allow_provider_fallbacks=False), Taken())
    )
    await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert bool(router.troubled()) is is_blamed


async def test_an_answer_that_breaks_off_counts_against_its_provider() -> None:
    providers = Providers({"one/fp8": (*ANSWER[:2], StreamInterrupted())})
    router = a_router(providers, breaker=BreakerRules(failures=1))
    with pytest.raises(StreamInterrupted):
        await router.complete(a_request(), Taken())
    assert len(router.troubled()) == 1


async def test_by_throughput_the_fastest_measured_comes_next_then_the_cheapest() -> None:
    clock = Clock()
    model = Model(
        "maker/model",
        "Model",
        "",
        8_000,
        tuple(replace(MODEL.providers[0], slug=slug) for slug in ("a", "b", "c", "d")),
    )

    def speaks(seconds: float) -> tuple[object, ...]:
        return (*ANSWER[:2], clock.passes(seconds), *ANSWER[2:])

    providers = Providers({"c": speaks(4), "d": speaks(1)})  # type: ignore[dict-item]
    router = a_router(providers, clock=clock, attempts=4, by_throughput=True)
    for slug in ("c", "d"):
        await router.complete(a_request(model, provider_slug=slug), Taken())
    speeds = {each.breaker.target.provider: each.tokens_per_second for each in router.report()}
    assert speeds == {"c": pytest.approx(39 / 4), "d": pytest.approx(39)}
    providers.asked.clear()
    providers.scripts = dict.fromkeys("abcd", (ProviderError(),))
    with pytest.raises(ProviderError):
        await router.complete(a_request(model), Taken())
    assert providers.slugs == ["a", "d", "c", "b"]


async def test_what_a_failed_attempt_cost_is_found_out_and_counted_as_ours() -> None:
    costs = Costs()
    named: Step = [
        Opened("gen-2"),
        UpstreamUsage(5, 0, 5, Decimal("0.02")),
        Finished("stop"),
        Ended(),
    ]
    providers = Providers({"one/fp8": ([Opened("gen-1")], ProviderError()), "one/bf16": (named,)})
    router = a_router(providers, costs=costs)
    await router.complete(a_request(), Taken())
    await settle()
    assert costs.asked == ["gen-1"]
    assert (router.losses.count, router.losses.usd) == (2, Decimal("0.03"))
    await router.close()


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_meant_to_be_empty_that_nobody_pays_for_is_our_loss(reason: str) -> None:
    end: Step = [UpstreamUsage(5, 9, 14, Decimal("0.02")), Finished(reason), Ended()]
    router = a_router(Providers({"one/fp8": ([Opened("gen-1")], end)}), costs=Costs())
    await router.complete(a_request(), Taken())
    assert (router.losses.count, router.losses.usd) == (1, Decimal("0.02"))


@pytest.mark.parametrize("reason", ["length", "stop"])
async def test_an_answer_for_which_its_request_left_no_room_is_no_loss_of_ours(reason: str) -> None:
    end: Step = [UpstreamUsage(5, 9, 14, Decimal("0.02")), Finished(reason), Ended()]
    providers = Providers({"one/fp8": ([Opened("gen-1")], end)})
    router = a_router(providers, costs=Costs())
    await router.complete(a_request(extras=Extras(stop=("Hel",), takes_empty=True)), Taken())
    assert (providers.slugs, router.losses.count) == (ORDER[:1], 0)


async def test_a_model_whose_upstream_is_not_configured_any_more_is_unavailable() -> None:
    router = a_router(Providers())
    with pytest.raises(ModelUnavailable):
        await router.complete(replace(a_request(), upstream="gone"), Taken())
