"""OpenRouter's embeddings: nobody who keeps data, prices before they are held, order kept."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import orjson
import pytest

from chuk.adapters.openrouter_embeddings import OpenRouterEmbedder
from chuk.catalog.selection import Selection
from chuk.errors import (
    ChukError,
    ContextTooLong,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.media.ports import EmbeddingModel
from tests.fakes.openrouter import FakeEndpoint, FakeOpenRouter, Fault
from tests.fakes.openrouter_embeddings import embedding_model, fake_vector

ID = "openai/text-embedding-3-small"
TEXTS = ["one", "two and more", "three"]


class Clock:
    """The loop's time, in hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def embedder(
    openrouter: FakeOpenRouter, session: aiohttp.ClientSession, clock: Clock
) -> OpenRouterEmbedder:
    openrouter.embedding_models = [embedding_model()]
    return OpenRouterEmbedder(
        session,
        base_url=openrouter.base_url,
        api_key=openrouter.api_key,
        selection=Selection(allow=("openai/*", "qwen/*"), blocked_providers=frozenset({"chutes"})),
        timeout=5.0,
        refresh=3600.0,
        loop_time=clock,
    )


async def the_model(embedder: OpenRouterEmbedder) -> EmbeddingModel:
    """The only one there is."""
    (model,) = await embedder.models()
    return model


async def test_a_model_is_listed_with_its_dearest_price_and_its_longest_text(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter
) -> None:
    openrouter.embedding_models = [
        embedding_model(
            "qwen/qwen3-embedding-8b",
            FakeEndpoint("Nebius", "nebius", "0.00000001", "0", context_length=32_000),
            FakeEndpoint("DeepInfra", "deepinfra/fp8", "0.00000003", "0", context_length=8_192),
            FakeEndpoint("Chutes", "chutes", "0.9", "0"),
            FakeEndpoint("Keeper", "keeper", "0.8", "0", zdr=False),
        )
    ]
    assert await the_model(embedder) == EmbeddingModel(
        id="qwen/qwen3-embedding-8b",
        name="qwen3-embedding-8b",
        provider_slug="openrouter",
        dimensions=None,
        context_length=32_000,
        price=Decimal("0.00000003"),
        is_zdr=True,
    )
    await embedder.vectors(await the_model(embedder), TEXTS, None)
    assert openrouter.requests[-1].body["provider"] == {
        "only": ["deepinfra/fp8", "nebius"],
        "zdr": True,
        "data_collection": "deny",
    }


@pytest.mark.parametrize(
    "model",
    [
        embedding_model("google/not-allowed"),
        embedding_model(ID, FakeEndpoint("Keeper", "keeper", "0.1", "0", zdr=False)),
        embedding_model(ID, FakeEndpoint("Chutes", "chutes", "0.1", "0")),
        embedding_model(ID, FakeEndpoint("Router", "router", "-1", "0")),
    ],
    ids=["not allowed", "not zdr", "blocked", "without a price"],
)
async def test_what_may_not_be_offered_is_not_listed(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter, model: Any
) -> None:
    openrouter.embedding_models = [model]
    assert await embedder.models() == []


async def test_the_vectors_come_in_the_order_of_the_texts(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter
) -> None:
    made = await embedder.vectors(await the_model(embedder), TEXTS, None)
    assert list(made.values) == [fake_vector(text) for text in TEXTS]
    assert (made.prompt_tokens, made.cost_usd) == (6, Decimal("1.2e-7"))
    body = openrouter.requests[-1].body
    assert (body["model"], body["input"], body["encoding_format"]) == (ID, TEXTS, "base64")
    assert "dimensions" not in body


async def test_shorter_vectors_are_asked_for(embedder: OpenRouterEmbedder) -> None:
    made = await embedder.vectors(await the_model(embedder), TEXTS, 4)
    assert list(made.values) == [fake_vector(text, 4) for text in TEXTS]


async def test_numbers_are_read_too_and_a_cost_need_not_be_named(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter
) -> None:
    model = await the_model(embedder)
    rows = [{"index": 0, "embedding": [0.5, 1, -2]}]
    answer = {"data": rows, "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    openrouter.fail("/embeddings", Fault(body=orjson.dumps(answer)))
    made = await embedder.vectors(model, ["one"], None)
    assert [vector.tolist() for vector in made.values] == [[0.5, 1.0, -2.0]]
    assert made.cost_usd is None


async def test_with_a_key_of_ones_own_the_fee_is_not_the_whole_cost(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter
) -> None:
    model = await the_model(embedder)
    usage = {
        "prompt_tokens": 3,
        "cost": 0,
        "is_byok": True,
        "cost_details": {"upstream_inference_cost": "0.0002"},
    }
    answer = {"data": [{"index": 0, "embedding": [0.5]}], "usage": usage}
    openrouter.fail("/embeddings", Fault(body=orjson.dumps(answer)))
    made = await embedder.vectors(model, ["one"], None)
    assert made.cost_usd == Decimal("0.0002")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": [], "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 0, "embedding": []}], "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 1, "embedding": [1]}], "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 0, "embedding": ["x"]}], "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 0, "embedding": "AAA"}], "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 0, "embedding": "AADAfw=="}], "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 0, "embedding": [1]}] * 2, "usage": {"prompt_tokens": 3}},
        {"data": [{"index": 0, "embedding": [1]}], "usage": {}},
        {"data": [{"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": -3}},
        [],
    ],
)
async def test_an_answer_that_makes_no_sense_is_the_providers_fault(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter, answer: object
) -> None:
    model = await the_model(embedder)
    openrouter.fail("/embeddings", Fault(body=orjson.dumps(answer)))
    with pytest.raises(ProviderError):
        await embedder.vectors(model, ["one"], None)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ProviderError),
        (402, ProviderError),
        (404, ModelUnavailable),
        (429, ModelUnavailable),
        (500, ProviderError),
        (503, ModelUnavailable),
        (504, ProviderTimeout),
        (302, ProviderError),
    ],
)
async def test_refusals_mean_what_they_mean_in_a_chat(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter, status: int, error: type[ChukError]
) -> None:
    model = await the_model(embedder)
    openrouter.fail("/embeddings", Fault(status=status))
    with pytest.raises(error) as caught:
        await embedder.vectors(model, ["one"], None)
    assert type(caught.value) is error


async def test_a_text_that_is_too_long_is_told_with_its_numbers(
    embedder: OpenRouterEmbedder,
) -> None:
    with pytest.raises(ContextTooLong) as caught:
        await embedder.vectors(await the_model(embedder), ["x" * 40_000], None)
    assert caught.value.details == {"max_tokens": 8_192, "requested_tokens": 10_000, "model": ID}


async def test_the_list_is_asked_for_once_an_hour(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter, clock: Clock
) -> None:
    await embedder.models()
    clock.now = 3_599.0
    openrouter.embedding_models.append(embedding_model("openai/text-embedding-3-large"))
    assert len(await embedder.models()) == 1
    clock.now = 3_600.0
    assert len(await embedder.models()) == 2


async def test_while_the_list_cannot_be_had_the_last_one_serves(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter, clock: Clock
) -> None:
    model = await the_model(embedder)
    openrouter.fail("/embeddings/models", Fault(status=500))
    clock.now = 3_600.0
    assert await the_model(embedder) == model
    assert (await embedder.vectors(model, ["one"], None)).prompt_tokens == 1


@pytest.mark.parametrize("path", ["/embeddings/models", "/endpoints/zdr"])
@pytest.mark.parametrize("fault", [Fault(status=500), Fault(body=b"{}"), Fault(body=b"nonsense")])
async def test_without_any_list_nothing_can_be_asked_until_it_is_there(
    embedder: OpenRouterEmbedder,
    openrouter: FakeOpenRouter,
    clock: Clock,
    path: str,
    fault: Fault,
) -> None:
    openrouter.fail(path, fault)
    with pytest.raises(ServiceUnavailable):
        await embedder.models()
    openrouter.mend()
    clock.now = 30.0
    assert (await the_model(embedder)).id == ID


async def test_the_key_that_is_refused_is_never_the_users_fault(
    embedder: OpenRouterEmbedder, openrouter: FakeOpenRouter
) -> None:
    openrouter.api_key = "another"
    with pytest.raises(ServiceUnavailable):
        await embedder.models()
