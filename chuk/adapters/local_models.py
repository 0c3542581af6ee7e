"""The model lists that are known without asking anybody: of servers of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chuk.catalog.models import Model, Pricing, Provider

SLUG = "local"
EMBEDDED_ID = "local/gemma-3-270m"


class LocalModels:
    """Always offers the same models. Implements `chuk.catalog.ports.ModelSource`."""

    def __init__(self, *models: Model) -> None:
        self._models = models

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        """See `ModelSource.fetch`."""
        return self._models


def embedded_model(context_length: int) -> Model:
    """The model whose weights come with the package."""
    return _model(
        EMBEDDED_ID,
        "Gemma 3 270M (on this server)",
        "A small base model that runs on this server; what you write never leaves it. Good for "
        "trying things out, not for facts. Its use is bound to the Gemma terms.",
        context_length,
        # A base model seldom stops by itself when it is asked for something long.
        max_completion_tokens=1024,
        # llama.cpp holds its answers to a format; of tools it has never heard.
        parameters=frozenset({"response_format", "structured_outputs"}),
    )


def gguf_model(file: Path, context_length: int) -> Model:
    """A model from a GGUF file that the operator named."""
    return _model(
        f"local/{file.stem}",
        f"{file.stem} (on this server)",
        "Runs on this server; what you write never leaves it.",
        context_length,
    )


def served_model(name: str, context_length: int) -> Model:
    """A model at an OpenAI-compatible server of the operator's."""
    return _model(f"local/{name}", name, "Runs on the operator's own model server.", context_length)


def _model(
    model_id: str,
    name: str,
    description: str,
    context_length: int,
    *,
    max_completion_tokens: int | None = None,
    parameters: frozenset[str] | None = None,
) -> Model:
    return Model(
        id=model_id,
        name=name,
        description=description,
        context_length=context_length,
        providers=(
            Provider(
                slug=SLUG,
                name="This server",
                pricing=Pricing(),
                context_length=context_length,
                max_completion_tokens=max_completion_tokens,
                parameters=parameters,
            ),
        ),
    )
