"""The embeddings of the stand-in for OpenRouter: vectors that depend on their texts alone."""

from __future__ import annotations

import base64
import hashlib
from array import array
from collections.abc import Sequence
from typing import Any

from tests.fakes.openrouter_models import FakeEndpoint, FakeModel
from tests.fakes.openrouter_wire import Refused, choose, known_model

WIDTH = 8


def embedding_model(
    model_id: str = "openai/text-embedding-3-small", *endpoints: FakeEndpoint
) -> FakeModel:
    """A model that makes vectors; of one provider, who keeps nothing, unless others are named."""
    return FakeModel(
        id=model_id,
        name=model_id.partition("/")[2],
        endpoints=list(endpoints)
        or [FakeEndpoint("Azure", "azure", "0.00000002", "0", context_length=8_192)],
        context_length=8_192,
        output_modalities=("embeddings",),
    )


def fake_vector(text: str, width: int = WIDTH) -> array[float]:
    """The vector of a text."""
    digest = hashlib.shake_256(text.encode()).digest(width)
    return array("f", [byte / 256 for byte in digest])


def embeddings_of(models: Sequence[FakeModel], body: Any, *, counts: bool = True) -> dict[str, Any]:
    """The answer to `POST /embeddings`; a token is four characters.

    `counts`: whether it says what it charged.
    """
    model = known_model(models, str(body.get("model")))
    endpoint = choose(model, body.get("provider") or {})
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    tokens = [-(-len(text) // 4) for text in texts]
    if max(tokens) > endpoint.context_length:
        raise Refused(
            400,
            f"This model's maximum context length is {endpoint.context_length} tokens, however"
            f" you requested {max(tokens)} tokens.",
        )
    width = body.get("dimensions") or WIDTH
    usage: dict[str, Any] = {"prompt_tokens": sum(tokens), "total_tokens": sum(tokens)}
    if counts:
        usage["cost"] = float(endpoint.cost(sum(tokens), 0))
    rows = [
        {"object": "embedding", "index": index, "embedding": _written(body, text, width)}
        for index, text in enumerate(texts)
    ]
    # In no order that anybody may rely on.
    return {"object": "list", "data": rows[::-1], "model": model.id, "usage": usage}


def _written(body: Any, text: str, width: int) -> object:
    vector = fake_vector(text, width)
    if body.get("encoding_format") == "base64":
        return base64.b64encode(vector.tobytes()).decode()
    return vector.tolist()
