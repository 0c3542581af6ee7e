"""The model list of a server with one model of its own."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from chuk.adapters.local_models import LocalModels, embedded_model, gguf_model, served_model
from chuk.catalog.models import Model


@pytest.mark.parametrize(
    ("model", "model_id"),
    [
        (embedded_model(8192), "local/gemma-3-270m"),
        (gguf_model(Path("models/qwen3-4b-q4.gguf"), 8192), "local/qwen3-4b-q4"),
        (served_model("llama3:8b", 8192), "local/llama3:8b"),
    ],
)
async def test_a_model_of_ones_own_is_listed_alone_and_costs_nothing(
    model: Model, model_id: str
) -> None:
    assert list(await LocalModels(model).fetch([])) == [model]
    assert model.id == model_id
    assert model.context_length == 8192
    [provider] = model.providers
    assert provider.context_length == 8192
    pricing = provider.pricing
    assert {pricing.prompt, pricing.completion, pricing.request} == {Decimal(0)}


def test_the_embedded_model_is_named_for_what_it_is() -> None:
    model = embedded_model(8192)
    assert model.name == "Gemma 3 270M (on this server)"
    assert "small base model" in model.description
    assert "Gemma terms" in model.description
