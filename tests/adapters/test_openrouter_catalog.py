"""OpenRouter's list: only endpoints that keep no data, at exact prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest

from chuk.catalog.ports import CatalogUnavailable
from chuk.catalog.selection import Selection
from tests.adapters.openrouter_lists import (
    GEMMA,
    LLAMA,
    QWEN,
    QWEN_PAGE,
    fetched,
    slugs,
    source,
)
from tests.fakes.openrouter import FakeEndpoint, FakeModel, FakeOpenRouter, Fault


async def test_only_chat_models_with_an_allowed_zdr_endpoint_are_listed(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    listed = await fetched(source(openrouter, session))
    assert set(listed) == {QWEN, LLAMA, GEMMA, "openai/gpt-oss-20b"}


async def test_a_providers_endpoint_that_is_not_zdr_is_left_out_and_its_zdr_one_stays(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    listed = await fetched(source(openrouter, session))
    assert slugs(listed[LLAMA]) == ["deepinfra/fp8", "groq"]


async def test_a_tag_that_is_zdr_for_one_model_is_not_for_another(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.model(LLAMA).endpoint("groq").zdr = False
    listed = await fetched(source(openrouter, session))
    assert slugs(listed[LLAMA]) == ["deepinfra/fp8"]
    assert "groq" in slugs(listed[QWEN])


async def test_several_zdr_endpoints_of_a_provider_are_several_entries_with_exact_tags(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.model(LLAMA).endpoint("deepinfra/turbo").zdr = True
    listed = await fetched(source(openrouter, session))
    assert slugs(listed[LLAMA]) == ["deepinfra/turbo", "deepinfra/fp8", "groq"]


@pytest.mark.parametrize("name", ["chutes", "Chutes ", "chutes/bf16"])
async def test_a_blocked_provider_is_never_listed(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, name: str
) -> None:
    selection = Selection(blocked_providers=frozenset({name}))
    listed = await fetched(source(openrouter, session, selection=selection))
    assert slugs(listed[QWEN]) == ["deepinfra/fp8", "groq"]


async def test_a_model_with_only_blocked_providers_is_not_listed_and_not_asked_for(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    selection = Selection(blocked_providers=frozenset({"groq"}))
    listed = await fetched(source(openrouter, session, selection=selection))
    assert "openai/gpt-oss-20b" not in listed
    assert "/models/openai/gpt-oss-20b/endpoints" not in [each.path for each in openrouter.requests]


async def test_models_outside_the_allow_list_are_neither_listed_nor_asked_for(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    selection = Selection(allow=("Qwen/*", "google/*"), block=("*gemma*",))
    assert set(await fetched(source(openrouter, session, selection=selection))) == {QWEN}
    assert [each.path for each in openrouter.requests[2:]] == [QWEN_PAGE]


async def test_a_router_with_a_price_of_minus_one_is_not_listed(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    models = source(openrouter, session)
    assert "openrouter/auto" not in await fetched(models)
    assert models.report.skipped["endpoint: price"] == 1


async def test_prices_are_exact_and_the_cheapest_provider_comes_first(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    cheap, dear = (await fetched(source(openrouter, session)))[QWEN].providers
    assert (cheap.slug, cheap.pricing.prompt) == ("deepinfra/fp8", Decimal("0.0000001"))
    assert (dear.slug, dear.pricing.completion) == ("groq", Decimal("0.00000059"))
    assert (dear.name, dear.context_length, dear.max_completion_tokens) == ("Groq", 131_072, 40_960)
    assert cheap.max_completion_tokens is None


async def test_vision_reasoning_and_moderation_come_from_the_model(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    listed = await fetched(source(openrouter, session))
    assert [model for model in listed if listed[model].supports_vision] == [GEMMA]
    assert listed[QWEN].supports_reasoning and not listed[LLAMA].supports_reasoning
    assert listed[LLAMA].providers[0].is_moderated and not listed[QWEN].providers[0].is_moderated
    assert listed[GEMMA].providers[0].pricing.image == Decimal("0.0000256")


@pytest.mark.parametrize("price", ["-1", "NaN", "Infinity", "", "free", "1e99", "0x1", "１", "1_0"])
async def test_an_endpoint_with_an_unusable_price_is_dropped_and_counted(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, price: str
) -> None:
    openrouter.model(QWEN).endpoint("groq").completion = price
    openrouter.models.remove(openrouter.model("openrouter/auto"))
    models = source(openrouter, session)
    assert slugs((await fetched(models))[QWEN]) == ["deepinfra/fp8"]
    assert models.report.skipped["endpoint: price"] == 1


async def test_a_slug_listed_twice_is_one_entry_at_the_dearer_price(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.model(QWEN).endpoints.append(FakeEndpoint("Groq", "groq", "0.00001", "0.00001"))
    listed = await fetched(source(openrouter, session))
    assert slugs(listed[QWEN]) == ["deepinfra/fp8", "groq"]
    assert listed[QWEN].provider("groq").pricing.prompt == Decimal("0.00001")


async def test_zdr_rows_without_a_model_id_are_joined_by_their_name(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    with_ids = await fetched(source(openrouter, session))
    openrouter.zdr_rows_name_models = False
    assert await fetched(source(openrouter, session)) == with_ids


async def test_a_free_variant_on_the_zdr_list_does_not_open_the_paid_model(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    openrouter.models = [
        FakeModel(
            id="qwen/qwen3-32b",
            canonical_slug="qwen/qwen3-32b-04-28",
            name="Qwen3 32B",
            endpoints=[FakeEndpoint("Venice", "venice", "0.1", "0.1", zdr=False)],
        ),
        FakeModel(
            id="qwen/qwen3-32b:free",
            canonical_slug="qwen/qwen3-32b-04-28",
            name="Qwen3 32B (free)",
            endpoints=[FakeEndpoint("Venice", "venice", "0", "0")],
        ),
    ]
    assert set(await fetched(source(openrouter, session))) == {"qwen/qwen3-32b:free"}
    # Without ids, upstream's name says the paid model and its model name the free one.
    openrouter.zdr_rows_name_models = False
    with pytest.raises(CatalogUnavailable):
        await source(openrouter, session).fetch(())


async def test_rows_that_make_no_sense_are_skipped_and_counted(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    listings: list[Any] = [model.listing() for model in openrouter.models]
    climbing = {**listings[0], "id": "../key"}
    listings += [None, 7, [], {}, {"id": 5}, climbing, {**climbing, "id": "a/.."}, listings[0]]
    listings.append({**listings[0], "id": "a/b", "architecture": None})
    rows: list[Any] = [
        model.endpoint_entry(endpoint)
        for model in openrouter.models
        for endpoint in model.endpoints
        if endpoint.zdr
    ]
    rows += [None, {}, {"tag": None}, {**rows[0], "tag": "no tag"}, {"tag": {}, "model_id": QWEN}]
    openrouter.fail("/models", Fault(body=orjson.dumps({"data": listings})))
    openrouter.fail("/endpoints/zdr", Fault(body=orjson.dumps({"data": rows})))
    models = source(openrouter, session)
    assert set(await fetched(models)) == {QWEN, LLAMA, GEMMA, "openai/gpt-oss-20b"}
    assert models.report.skipped["model: id"] == 4
    assert models.report.skipped["model: twice"] == 1
    assert models.report.skipped["zdr: tag"] == 5
    assert not [each.path for each in openrouter.requests if "key" in each.path]


async def test_counts_are_positive_integers_or_absent(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    page = openrouter.model(QWEN).page()
    page["endpoints"][0] |= {"context_length": 131072.0, "max_completion_tokens": 0}
    page["endpoints"][1] |= {"context_length": None, "max_completion_tokens": "many"}
    openrouter.fail(QWEN_PAGE, Fault(body=orjson.dumps({"data": page})))
    cheap, groq = (await fetched(source(openrouter, session)))[QWEN].providers
    assert (groq.context_length, groq.max_completion_tokens) == (131_072, None)
    assert (cheap.context_length, cheap.max_completion_tokens) == (131_072, None)
    assert isinstance(groq.context_length, int)


async def test_what_a_provider_understands_and_its_caches_prices_are_read(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession
) -> None:
    model = openrouter.model(QWEN)
    model.endpoint("groq").extra_prices = {
        "input_cache_read": "0.00000001",
        "input_cache_write": "no price",
    }
    model.reasoning = {"mandatory": True, "supported_efforts": ["high", "low", "none", None]}
    found = (await fetched(source(openrouter, session)))[QWEN]
    assert found.efforts == {"high", "low"}
    groq = found.provider("groq")
    assert groq.pricing.cache_read == Decimal("0.00000001")
    assert groq.pricing.cache_write is None
    assert groq.supports("temperature") and not groq.supports("something_else")


@pytest.mark.parametrize(
    ("reasoning", "efforts"),
    [
        (None, None),
        ({"mandatory": False, "supported_efforts": None}, None),
        ({"mandatory": True, "supported_efforts": None}, {"minimal", "low", "medium", "high"}),
        ({"mandatory": False, "supported_efforts": ["medium"]}, {"medium"}),
        ({"supported_efforts": "high"}, None),
    ],
)
async def test_the_efforts_that_a_model_takes_are_read(
    openrouter: FakeOpenRouter,
    session: aiohttp.ClientSession,
    reasoning: dict[str, object] | None,
    efforts: set[str] | None,
) -> None:
    openrouter.model(QWEN).reasoning = reasoning
    assert (await fetched(source(openrouter, session)))[QWEN].efforts == efforts
