"""Texts as vectors, by OpenAI's library: numbers and base64, one text and several."""

from __future__ import annotations

import base64
from array import array
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from chuk.adapters.minilm_child import NAME
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.openrouter_embeddings import embedding_model, fake_vector
from tests.harness import RunningServer
from tests.openai_face.clients import receipts_of

MODEL = "openai/text-embedding-3-small"


@pytest.fixture(autouse=True)
def offered(openrouter: FakeOpenRouter) -> None:
    """A model of upstream's."""
    openrouter.embedding_models.append(embedding_model(MODEL))


@pytest.mark.parametrize("form", ["float", "base64", None])
async def test_each_text_has_its_vector_in_order(client: AsyncOpenAI, form: Any) -> None:
    # Unless a form is asked for, the library asks for base64 and reads it by itself.
    asked = {} if form is None else {"encoding_format": form}
    answer = await client.embeddings.create(model=MODEL, input=["one", "two"], **asked)
    vectors: list[Any] = [item.embedding for item in answer.data]
    if form == "base64":
        vectors = [list(array("f", base64.b64decode(each))) for each in vectors]
    assert vectors == [list(fake_vector("one")), list(fake_vector("two"))]
    assert [item.index for item in answer.data] == [0, 1]
    assert answer.object == "list" and answer.model == MODEL
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


async def test_one_text_is_paid_for(client: AsyncOpenAI, server: RunningServer) -> None:
    answer = await client.embeddings.create(model=MODEL, input="A text of some length.")
    assert len(answer.data) == 1
    (receipt,) = await receipts_of(server)
    assert receipt["operation"] == "embedding" and receipt["charged_eur"] > 0
    assert answer.model_extra == {"chuk": {"cost_eur": receipt["charged_eur"]}}


async def test_the_embedded_model_is_there_too(client: AsyncOpenAI) -> None:
    assert {MODEL, NAME} <= {model.id async for model in client.models.list()}
    assert (await client.models.retrieve(NAME)).id == NAME
    answer = await client.embeddings.create(model=NAME, input=["A cat.", "A kitten.", "Taxes."])
    cat, kitten, taxes = (item.embedding for item in answer.data)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(cat, kitten) > likeness(cat, taxes)


@pytest.mark.parametrize("wrong", [[], "", ["one", ""], [1, 2, 3], [[1, 2], [3]], ["x"] * 10_000])
async def test_what_is_no_text_is_refused(client: AsyncOpenAI, wrong: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.embeddings.create(model=MODEL, input=wrong)
    assert caught.value.param == "input"


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.embeddings.create(model="nobody/nothing", input="one")
    assert caught.value.code == "model_not_found"
