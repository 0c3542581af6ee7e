"""Vectors and their books: held before, settled by the token, nothing for what came to nothing."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chuk.adapters.minilm import MODEL, MiniLm, embedded_model
from chuk.credits.ledger import Basis, Operation, Outcome, Receipt
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import (
    InsufficientCredits,
    InvalidRequest,
    ModelNotFound,
    ProviderError,
    ServiceUnavailable,
)
from chuk.media.embed import MOST_INPUTS, Embedding, Embeddings
from chuk.media.jobs import Jobs
from chuk.media.ports import EmbeddingModel, Vectors
from tests.credits.books import EURO, PRICES, USER, Time, give, open_books, receipts

TEXTS = ["one", "two and more"]
PAID = EmbeddingModel(
    id="somebody/embeds",
    name="embeds",
    provider_slug="azure",
    dimensions=None,
    context_length=8_192,
    price=Decimal("0.00001"),
    is_zdr=True,
)


class ScriptedEmbedder:
    """An upstream of one model, which counts a token for each word.

    Attributes:
        failure: raised instead of an answer.
        cost: what it says it charged.
        is_unknown: whether its list cannot be had.
        gate: waited for before it answers.
    """

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.cost: Decimal | None = None
        self.is_unknown = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def models(self) -> Sequence[EmbeddingModel]:
        if self.is_unknown:
            raise ServiceUnavailable
        return [PAID]

    async def vectors(
        self, model: EmbeddingModel, texts: Sequence[str], dimensions: int | None
    ) -> Vectors:
        self.asked.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        made = [array("f", [len(text)] * (dimensions or 2)) for text in texts]
        return Vectors(made, sum(len(text.split()) for text in texts), self.cost)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LedgerStore]:
    """Real books of a user with ten euros; proven at the end."""
    async with open_books(tmp_path, Time()) as books:
        await give(books, 10 * EURO)
        yield books


@pytest.fixture
def upstream() -> ScriptedEmbedder:
    return ScriptedEmbedder()


@pytest.fixture
async def embeddings(store: LedgerStore, upstream: ScriptedEmbedder) -> AsyncIterator[Embeddings]:
    """The embedded model first, and an upstream that charges."""
    folder = embedded_model()
    assert folder is not None
    minilm = MiniLm(folder, timeout=60.0)
    credit_service = Credits(store, PRICES, owner="process-1", hold_lease=60.0)
    yield Embeddings([Embedding(minilm, Jobs(2, 8)), Embedding(upstream)], credit_service)
    await minilm.close()
    await credit_service.close()


async def the_receipt(store: LedgerStore) -> Receipt:
    """The only row there is; the hold behind it is ended."""
    (receipt,) = await receipts(store)
    assert (await store.purse(USER)).held == 0
    return receipt


async def test_a_text_is_paid_for_by_its_tokens(embeddings: Embeddings, store: LedgerStore) -> None:
    made = await embeddings.embed(USER, PAID.id, TEXTS)
    assert [vector.tolist() for vector in made.vectors] == [[3.0, 3.0], [12.0, 12.0]]
    # 4 tokens at 10 micro-dollars, in euros with a margin of a tenth, rounded up.
    assert (made.model_id, made.prompt_tokens, made.cost) == (PAID.id, 4, 41)
    receipt = await the_receipt(store)
    assert (receipt.operation, receipt.charged) == (Operation.EMBEDDING, 41)
    assert receipt.held > receipt.charged
    usage = receipt.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (4, 0, 4)
    assert (usage.outcome, usage.basis) == (Outcome.COMPLETED, Basis.TOKENS)
    assert (usage.model_id, usage.provider_slug, usage.is_zdr) == (PAID.id, "azure", True)


async def test_upstreams_own_cost_counts_where_it_names_one(
    embeddings: Embeddings, store: LedgerStore, upstream: ScriptedEmbedder
) -> None:
    upstream.cost = Decimal("0.00002")
    assert (await embeddings.embed(USER, PAID.id, TEXTS)).cost == 21
    receipt = await the_receipt(store)
    assert (receipt.usage.basis, receipt.usage.cost_usd) == (Basis.UPSTREAM, Decimal("0.00002"))


async def test_the_embedded_model_is_free_also_for_who_has_nothing(
    embeddings: Embeddings, store: LedgerStore
) -> None:
    stranger = uuid4()
    made = await embeddings.embed(stranger, MODEL.id, TEXTS)
    assert [len(vector) for vector in made.vectors] == [384, 384]
    assert (made.prompt_tokens, made.cost) == (8, 0)
    (receipt,) = await store.receipts(stranger, before=None, limit=9)
    assert (receipt.charged, receipt.held, receipt.usage.basis) == (0, 0, Basis.NOTHING)


async def test_nothing_is_embedded_that_cannot_be_paid(
    embeddings: Embeddings, upstream: ScriptedEmbedder
) -> None:
    with pytest.raises(InsufficientCredits):
        await embeddings.embed(uuid4(), PAID.id, TEXTS)
    assert not upstream.asked.is_set()


async def test_what_fails_costs_nothing(
    embeddings: Embeddings, store: LedgerStore, upstream: ScriptedEmbedder
) -> None:
    upstream.failure = ProviderError()
    with pytest.raises(ProviderError):
        await embeddings.embed(USER, PAID.id, TEXTS)
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.FAILED)


async def test_whoever_leaves_has_their_credits_back(
    embeddings: Embeddings, store: LedgerStore, upstream: ScriptedEmbedder
) -> None:
    upstream.gate.clear()
    task = asyncio.create_task(embeddings.embed(USER, PAID.id, TEXTS))
    await upstream.asked.wait()
    assert (await store.purse(USER)).held > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.CANCELLED)


@pytest.mark.parametrize(
    "inputs", [[], [""], ["fine", " \n"], ["x"] * (MOST_INPUTS + 1)], ids=range(4)
)
async def test_what_makes_no_sense_is_refused_before_anything_is_held(
    embeddings: Embeddings, store: LedgerStore, inputs: Any
) -> None:
    with pytest.raises(InvalidRequest):
        await embeddings.embed(USER, PAID.id, inputs)
    assert await receipts(store) == []


async def test_all_models_are_listed_and_no_other_is_found(embeddings: Embeddings) -> None:
    assert [model.id for model in await embeddings.models()] == [MODEL.id, PAID.id]
    with pytest.raises(ModelNotFound):
        await embeddings.embed(USER, "nobody/knows", TEXTS)


async def test_an_upstream_that_does_not_tell_its_models_takes_nothing_from_the_others(
    embeddings: Embeddings, upstream: ScriptedEmbedder
) -> None:
    upstream.is_unknown = True
    assert [model.id for model in await embeddings.models()] == [MODEL.id]
    await embeddings.embed(USER, MODEL.id, ["one"])
    # It may well be there: nobody can tell now.
    with pytest.raises(ServiceUnavailable):
        await embeddings.embed(USER, PAID.id, TEXTS)
