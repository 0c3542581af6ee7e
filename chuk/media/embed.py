"""Texts made vectors: hold, embed, settle. A text is paid for by its tokens."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from chuk.credits.ledger import Basis, Operation, Outcome, UsageRecord
from chuk.credits.money import MicroEuro
from chuk.credits.service import Credits, Order
from chuk.errors import InvalidRequest, ModelNotFound, ServiceUnavailable
from chuk.media.jobs import Jobs
from chuk.media.ports import Embedder, EmbeddingModel, Vectors

MOST_INPUTS = 256
# What a tokenizer may put around a text.
_MARKS = 2


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of some texts.

    Attributes:
        vectors: one for each text, in the order of the texts; 32-bit floats. `tobytes()` is what
            OpenAI's `base64` encodes, `tolist()` its `float`.
        prompt_tokens: of all texts.
        cost: what its user pays.
    """

    model_id: str
    vectors: Sequence[array[float]]
    prompt_tokens: int
    cost: MicroEuro


@dataclass(frozen=True, slots=True)
class Embedding:
    """Somebody who makes vectors, and what gives out turns there; None: it has no such bounds."""

    embedder: Embedder
    jobs: Jobs | None = None


class Embeddings:
    """Makes vectors of texts, and has them paid for.

    Args:
        offered: where two know a model of the same name, the first one is asked.
    """

    def __init__(self, offered: Sequence[Embedding], credit_service: Credits) -> None:
        self._offered = tuple(offered)
        self._credits = credit_service

    async def models(self) -> Sequence[EmbeddingModel]:
        """What may be asked for; what cannot be had right now is missing."""
        models, _ = await self._known()
        return [model for model, _ in models.values()]

    async def embed(
        self,
        user_id: UUID,
        model_id: str,
        inputs: Sequence[str],
        dimensions: int | None = None,
        api_key_id: UUID | None = None,
    ) -> Embedded:
        """One vector for each text. Being cancelled gives the credits back.

        Args:
            dimensions: of shorter vectors; None: as the model makes them.
            api_key_id: the personal API key that asked; None: the signed-in user.

        Raises:
            ModelNotFound: no such model.
            InvalidRequest: no text, too many (`MOST_INPUTS`), an empty one, or dimensions that
                the model does not make.
            ContextTooLong: a text has more tokens than the model reads.
            InsufficientCredits, QuotaExceeded, Forbidden: see `Credits.open`.
            ServiceUnavailable: it is not known which models there are, too many wait, or the
                books cannot be reached.
            ProviderError, ModelUnavailable, ProviderTimeout: the model is not to be had.
        """
        _check(inputs)
        model, embedding = await self._found(model_id)
        at_most = self._credits.prices.in_euros(model.price * _most_tokens(model, inputs))
        order = Order(
            id=f"emb_{uuid4().hex}",
            user_id=user_id,
            operation=Operation.EMBEDDING,
            model_id=model.id,
            provider_slug=model.provider_slug,
            at_most=at_most,
            at_least=at_most,
            is_zdr=model.is_zdr,
            api_key_id=api_key_id,
        )
        async with self._credits.hold(order) as payment:
            turn = nullcontext() if embedding.jobs is None else embedding.jobs.slot(user_id)
            async with turn:
                made = await embedding.embedder.vectors(model, inputs, dimensions)
            usage = _usage(model, made)
            cost = self._credits.prices.in_euros(usage.cost_usd)
            charged = await payment.settle(cost, usage)
        return Embedded(model.id, made.values, made.prompt_tokens, charged)

    async def _found(self, model_id: str) -> tuple[EmbeddingModel, Embedding]:
        models, are_all = await self._known()
        if model_id in models:
            return models[model_id]
        if not are_all:
            raise ServiceUnavailable("The list of models is not available right now.")
        raise ModelNotFound(model_id)

    async def _known(self) -> tuple[dict[str, tuple[EmbeddingModel, Embedding]], bool]:
        """Every model by its id, and whether everybody could be asked."""
        known: dict[str, tuple[EmbeddingModel, Embedding]] = {}
        are_all = True
        for embedding in self._offered:
            try:
                for model in await embedding.embedder.models():
                    known.setdefault(model.id, (model, embedding))
            except ServiceUnavailable:
                # Whoever could not tell has logged it; the others are there all the same.
                are_all = False
        return known, are_all


def _check(inputs: Sequence[str]) -> None:
    if not 1 <= len(inputs) <= MOST_INPUTS:
        raise InvalidRequest.field("input", f"Must be 1 to {MOST_INPUTS} texts.")
    if not all(text.strip() for text in inputs):
        raise InvalidRequest.field("input", "No text may be empty.")


def _most_tokens(model: EmbeddingModel, inputs: Sequence[str]) -> int:
    """A bound: no tokenizer makes more tokens than there are bytes, but for its own marks."""
    return sum(
        min(model.context_length, len(text.encode("utf-8", "replace")) + _MARKS) for text in inputs
    )


def _usage(model: EmbeddingModel, made: Vectors) -> UsageRecord:
    cost_usd = made.cost_usd
    if cost_usd is not None:
        basis = Basis.UPSTREAM
    else:
        cost_usd = model.price * made.prompt_tokens
        basis = Basis.TOKENS if cost_usd else Basis.NOTHING
    return UsageRecord(
        model_id=model.id,
        provider_slug=model.provider_slug,
        prompt_tokens=made.prompt_tokens,
        completion_tokens=0,
        total_tokens=made.prompt_tokens,
        cost_usd=Decimal(cost_usd),
        outcome=Outcome.COMPLETED,
        basis=basis,
        is_zdr=model.is_zdr,
    )
