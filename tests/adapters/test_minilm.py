"""The embedded embedding model, for real: what it was trained to say, number by number."""

from __future__ import annotations

import asyncio
import os
import signal
from array import array
from collections.abc import AsyncIterator, Sequence

import pytest

from chuk.adapters.minilm import DIMENSIONS, MODEL, MiniLm, embedded_model
from chuk.errors import ContextTooLong, GenerationFailed, InvalidRequest, ProviderTimeout
from tests.harness import eventually

# As sentence-transformers computes them, with PyTorch.
KNOWN = {
    "This is an example sentence": [0.067657, 0.063496, 0.048713, 0.079305, 0.037448, 0.002653],
    "Each sentence is converted": [0.086439, 0.102763, 0.005395, 0.002044, -0.009963, 0.025386],
}


@pytest.fixture
async def minilm() -> AsyncIterator[MiniLm]:
    folder = embedded_model()
    assert folder is not None
    model = MiniLm(folder, timeout=60.0)
    yield model
    await model.close()


async def vectors(minilm: MiniLm, *texts: str) -> Sequence[array[float]]:
    """Their vectors."""
    return (await minilm.vectors(MODEL, texts, None)).values


def likeness(one: array[float], other: array[float]) -> float:
    """The cosine between two unit vectors."""
    return sum(left * right for left, right in zip(one, other, strict=True))


async def test_the_vectors_are_those_of_the_reference(minilm: MiniLm) -> None:
    made = await vectors(minilm, *KNOWN)
    for vector, known in zip(made, KNOWN.values(), strict=True):
        assert vector[:6].tolist() == pytest.approx(known, abs=1e-5)
        assert len(vector) == DIMENSIONS
        assert likeness(vector, vector) == pytest.approx(1, abs=1e-5)


async def test_what_means_the_same_is_nearer_than_what_does_not(minilm: MiniLm) -> None:
    eating, bread, cheetah, subscription, plan = await vectors(
        minilm,
        "A man is eating food.",
        "A man is eating a piece of bread.",
        "A cheetah is running behind its prey.",
        "How do I cancel my subscription?",
        "What must I do to end my plan?",
    )
    assert likeness(eating, bread) == pytest.approx(0.7553, abs=1e-3)
    assert likeness(eating, bread) > likeness(eating, cheetah) > likeness(eating, plan)
    assert likeness(subscription, plan) > likeness(subscription, cheetah) + 0.2


async def test_a_texts_vector_does_not_depend_on_its_company_or_its_place(
    minilm: MiniLm,
) -> None:
    # More than go at once, and of different lengths.
    texts = [f"{'so ' * (number * 7 % 12)}number {number}" for number in range(34)]
    together = await vectors(minilm, *texts)
    for place in (0, 13, 33):
        (alone,) = await vectors(minilm, texts[place])
        assert together[place].tolist() == pytest.approx(alone.tolist(), abs=1e-5)
    backwards = await vectors(minilm, *texts[::-1])
    assert backwards[0].tolist() == pytest.approx(together[-1].tolist(), abs=1e-5)


async def test_tokens_are_counted_with_their_marks_and_too_many_are_refused(
    minilm: MiniLm,
) -> None:
    assert (
        await minilm.vectors(MODEL, ["hello world", "Grüße, 世界 🙂"], None)
    ).prompt_tokens == 13
    assert (await minilm.vectors(MODEL, ["word " * 254], None)).prompt_tokens == 256
    with pytest.raises(ContextTooLong) as caught:
        await minilm.vectors(MODEL, ["fine", "word " * 255], None)
    assert caught.value.details == {
        "max_tokens": 256,
        "requested_tokens": 257,
        "model": "local/all-minilm-l6-v2",
    }


async def test_a_text_of_megabytes_is_refused_before_anybody_reads_it(minilm: MiniLm) -> None:
    with pytest.raises(ContextTooLong) as caught:
        await vectors(minilm, "short", " " * 2**20)
    assert caught.value.details["max_tokens"] == 256
    assert minilm.process_id is None


async def test_its_vectors_have_one_length(minilm: MiniLm) -> None:
    assert len((await minilm.vectors(MODEL, ["hello"], DIMENSIONS)).values[0]) == DIMENSIONS
    with pytest.raises(InvalidRequest):
        await minilm.vectors(MODEL, ["hello"], 256)


async def test_the_process_stays_and_is_replaced_when_it_dies(minilm: MiniLm) -> None:
    (before,) = await vectors(minilm, "hello")
    process = minilm.process_id
    assert process is not None
    await vectors(minilm, "again")
    assert minilm.process_id == process
    long = asyncio.create_task(vectors(minilm, *["word " * 250] * 8))
    await asyncio.sleep(0)
    os.kill(process, signal.SIGKILL)
    with pytest.raises(GenerationFailed):
        await long
    await eventually(lambda: minilm.process_id != process)
    (after,) = await vectors(minilm, "hello")
    assert after == before


async def test_whoever_leaves_does_not_keep_it_busy(minilm: MiniLm) -> None:
    await vectors(minilm, "hello")
    leaving = asyncio.create_task(vectors(minilm, *["word " * 250] * 256))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    async with asyncio.timeout(20):
        await vectors(minilm, "hello")


async def test_what_takes_too_long_is_given_up() -> None:
    folder = embedded_model()
    assert folder is not None
    hasty = MiniLm(folder, timeout=0.01)
    with pytest.raises(ProviderTimeout):
        await vectors(hasty, "hello")
    await hasty.close()
