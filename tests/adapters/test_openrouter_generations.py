"""What a request cost, by OpenRouter's own books: exact, late, and never invented."""

from __future__ import annotations

from decimal import Decimal

import aiohttp
import orjson
import pytest

from chuk.adapters.openrouter_generations import OpenRouterGenerations
from chuk.credits.ports import GenerationCost
from chuk.errors import (
    ChukError,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from tests.fakes.openrouter import FakeOpenRouter, Fault
from tests.fakes.openrouter_replies import Generation

_ID = "gen-1745875945-abc"


@pytest.fixture
def costs(openrouter: FakeOpenRouter, session: aiohttp.ClientSession) -> OpenRouterGenerations:
    openrouter.generations[_ID] = Generation(
        _ID, "qwen/qwen3-32b", "Groq", prompt_tokens=45, completion_tokens=128,
        cost=Decimal("0.00008857"),
    )  # fmt: skip
    return OpenRouterGenerations(session, base_url=openrouter.base_url, api_key=openrouter.api_key)


async def test_the_cost_is_upstreams_own_to_the_last_digit(costs: OpenRouterGenerations) -> None:
    assert await costs.cost_of(_ID) == GenerationCost(Decimal("0.00008857"), 45, 128)


async def test_a_cost_that_is_not_written_yet_is_not_known(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter
) -> None:
    openrouter.asks_before_cost = 2
    assert [await costs.cost_of(_ID) for _ in range(2)] == [None, None]
    assert await costs.cost_of(_ID) is not None
    assert await costs.cost_of("gen-of-nobody") is None


async def test_with_a_providers_key_of_our_own_its_cost_is_added_to_the_fee(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter
) -> None:
    openrouter.generations[_ID].own_key_cost = Decimal("0.002")
    found = await costs.cost_of(_ID)
    assert found is not None
    assert found.cost_usd == Decimal("0.00208857")


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ProviderError), (402, ProviderError), (500, ProviderError), (301, ProviderError),
     (429, ModelUnavailable), (503, ModelUnavailable), (504, ProviderTimeout)],
)  # fmt: skip
async def test_a_refusal_is_typed_and_is_no_cost(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter, status: int, error: type[ChukError]
) -> None:
    openrouter.fail("/generation", Fault(status=status))
    with pytest.raises(error):
        await costs.cost_of(_ID)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"data": null}',
        b'{"data": {}}',
        b'{"data": {"total_cost": null}}',
        b'{"data": {"total_cost": -1}}',
        b'{"data": {"total_cost": "NaN"}}',
        b'{"data": {"total_cost": true}}',
        b'{"data": {"total_cost": 1e300}}',
        b'{"data": {"total_cost": {}}}',
    ],
)
async def test_nonsense_is_no_cost(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter, body: bytes
) -> None:
    openrouter.fail("/generation", Fault(body=body))
    with pytest.raises(ProviderError):
        await costs.cost_of(_ID)


@pytest.mark.parametrize("count", [None, "45", -1, True, 1e300])
async def test_counts_that_are_none_do_not_hide_the_cost(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter, count: object
) -> None:
    data = {"total_cost": 0.5, "native_tokens_prompt": count, "tokens_completion": 7}
    openrouter.fail("/generation", Fault(body=orjson.dumps({"data": data})))
    assert await costs.cost_of(_ID) == GenerationCost(Decimal("0.5"), 0, 7)


async def test_an_endless_answer_is_not_read(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter
) -> None:
    openrouter.fail("/generation", Fault(endless=True))
    with pytest.raises(ProviderError):
        await costs.cost_of(_ID)


async def test_silence_is_a_timeout_and_absence_an_unavailable_service(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.fail("/generation", Fault(hang=True))
    slow = OpenRouterGenerations(
        session, base_url=openrouter.base_url, api_key=openrouter.api_key, timeout=0.02
    )
    with pytest.raises(ProviderTimeout):
        await slow.cost_of(_ID)
    nowhere = OpenRouterGenerations(session, base_url="http://127.0.0.1:1", api_key="k")
    with pytest.raises(ServiceUnavailable):
        await nowhere.cost_of(_ID)


async def test_an_id_cannot_change_the_question(
    costs: OpenRouterGenerations, openrouter: FakeOpenRouter
) -> None:
    assert await costs.cost_of("x&id=../models") is None
    assert openrouter.requests[-1].query == {"id": "x&id=../models"}
