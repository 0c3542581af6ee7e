"""Spoken texts and their books: held before, settled once there is a sound, ended exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from chuk.adapters.inworld import Inworld
from chuk.credits.ledger import Operation, Outcome, Receipt
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import (
    ChukError,
    InsufficientCredits,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
)
from chuk.media.jobs import Jobs
from chuk.media.speak import AT_ONCE, Speech
from chuk.media.utterance import AudioEncoding, Utterance
from tests.credits.books import EURO, PRICES, USER, Time, give, open_books, receipts
from tests.fakes.inworld import Answer, FakeInworld
from tests.harness import eventually

PRICE = Decimal("0.0000046")
TEXT = "Three short words"
# 17 characters at 4.6 micro-euros, rounded up.
COST = 79
UTTERANCE = Utterance(TEXT, "Ashley", "inworld-tts-1", AudioEncoding.MP3, 24_000)

Make = Callable[..., Speech]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LedgerStore]:
    """Real books of a user with ten euros; proven at the end."""
    async with open_books(tmp_path, Time()) as books:
        await give(books, 10 * EURO)
        yield books


@pytest.fixture
async def inworld() -> AsyncIterator[FakeInworld]:
    async with FakeInworld() as fake:
        yield fake


@pytest.fixture
async def make(store: LedgerStore, inworld: FakeInworld) -> AsyncIterator[Make]:
    """Make the service, pointed at the stand-in."""
    credit_service = Credits(store, PRICES, owner="process-1", hold_lease=60.0)
    async with aiohttp.ClientSession() as session:
        voice = Inworld(session, base_url=inworld.base_url, api_key=inworld.api_key, silence=10.0)

        def made(**options: Any) -> Speech:
            return Speech(voice, credit_service, **{"price": PRICE, **options})

        yield made
        await credit_service.close()


@pytest.fixture
def speech(make: Make) -> Speech:
    return make()


async def listen(
    speech: Speech, utterance: Utterance = UTTERANCE, user: UUID = USER
) -> list[bytes]:
    """All sounds of a text."""
    async with speech.spoken(user, utterance) as audio:
        return [sound async for sound in audio]


async def the_receipt(store: LedgerStore) -> Receipt:
    """The only row there is; the hold behind it is ended."""
    (receipt,) = await receipts(store)
    assert (await store.purse(USER)).held == 0
    return receipt


async def test_a_text_is_paid_by_its_characters(speech: Speech, store: LedgerStore) -> None:
    assert len(await listen(speech)) == 3
    receipt = await the_receipt(store)
    assert (receipt.held, receipt.charged) == (COST, COST)
    assert receipt.operation is Operation.SPEECH
    usage = receipt.usage
    assert (usage.model_id, usage.provider_slug) == ("inworld-tts-1", "inworld")
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 0, len(TEXT))
    assert usage.outcome is Outcome.COMPLETED
    assert PRICES.in_euros(usage.cost_usd) == COST
    assert (await store.purse(USER)).available == 10 * EURO - COST


async def test_it_is_held_before_anything_is_asked(
    speech: Speech, store: LedgerStore, inworld: FakeInworld
) -> None:
    inworld.script(Answer(stall_after=1))
    async with speech.spoken(USER, UTTERANCE) as audio:
        assert (await store.purse(USER)).held == COST
        inworld.release.set()
        assert len([sound async for sound in audio]) == 3


async def test_without_credits_nothing_is_asked(speech: Speech, inworld: FakeInworld) -> None:
    with pytest.raises(InsufficientCredits):
        await listen(speech, user=uuid4())
    assert inworld.asked == []


async def test_what_costs_nothing_needs_no_credits(make: Make, inworld: FakeInworld) -> None:
    assert len(await listen(make(price=Decimal(0)), user=uuid4())) == 3


@pytest.mark.parametrize(
    "answer",
    [Answer(status=500), Answer(error={"code": 13}), Answer(break_after=0), Answer(pieces=[])],
)
async def test_without_a_sound_nothing_is_taken(
    speech: Speech, store: LedgerStore, inworld: FakeInworld, answer: Answer
) -> None:
    inworld.script(answer)
    with pytest.raises(ChukError):
        await listen(speech)
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.FAILED)
    assert speech.interrupted == 0


async def test_what_breaks_off_is_counted_and_paid_as_the_service_charges(
    speech: Speech, store: LedgerStore, inworld: FakeInworld
) -> None:
    inworld.script(Answer(break_after=2))
    heard: list[bytes] = []

    async def hear() -> None:
        async with speech.spoken(USER, UTTERANCE) as audio:
            async for sound in audio:
                heard.append(sound)

    with pytest.raises(ProviderError):
        await hear()
    assert len(heard) == 2
    assert speech.interrupted == 1
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (COST, Outcome.INTERRUPTED)
    assert inworld.charged == receipt.usage.total_tokens


async def test_who_leaves_silences_the_voice_and_pays_for_the_text(
    speech: Speech, store: LedgerStore, inworld: FakeInworld
) -> None:
    inworld.script(Answer(stall_after=1))
    has_begun = asyncio.Event()

    async def hear() -> None:
        async with speech.spoken(USER, UTTERANCE) as audio:
            has_begun.set()
            async for _ in audio:
                pass

    listener = asyncio.create_task(hear())
    await has_begun.wait()
    listener.cancel()
    await asyncio.wait({listener})
    assert listener.cancelled()
    await inworld.wait_for_disconnect()
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (COST, Outcome.CANCELLED)


async def test_who_leaves_before_the_first_sound_pays_nothing(
    speech: Speech, store: LedgerStore, inworld: FakeInworld
) -> None:
    inworld.script(Answer(never_answer=True))
    listener = asyncio.create_task(listen(speech))
    await inworld.wait_until(lambda: len(inworld.asked) == 1)
    listener.cancel()
    await asyncio.wait({listener})
    await inworld.wait_for_disconnect()
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.CANCELLED)


async def test_only_so_many_texts_of_one_user_at_once(speech: Speech, inworld: FakeInworld) -> None:
    inworld.script(*[Answer(stall_after=1)] * AT_ONCE)
    async with AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await stack.enter_async_context(speech.spoken(USER, UTTERANCE))
        with pytest.raises(RateLimited):
            await listen(speech)
    assert len(await listen(speech)) == 3


async def test_a_slow_listener_does_not_keep_the_voice_from_others(
    make: Make, store: LedgerStore
) -> None:
    jobs = Jobs(1, 1)
    speech = make(jobs=jobs)
    other = uuid4()
    await give(store, EURO, other)
    async with speech.spoken(USER, UTTERANCE) as audio:
        # Not one sound has been taken yet.
        await eventually(lambda: jobs.running == 0)
        assert len(await listen(speech, user=other)) == 3
        assert len([sound async for sound in audio]) == 3


async def test_closing_waits_for_texts_and_then_ends_them(
    speech: Speech, store: LedgerStore, inworld: FakeInworld
) -> None:
    inworld.script(Answer(stall_after=1))
    listener = asyncio.create_task(listen(speech))
    await inworld.wait_until(lambda: bool(inworld.asked and inworld.asked[0].spoken))
    closing = asyncio.create_task(speech.close(60.0))
    await asyncio.sleep(0)
    with pytest.raises(ServiceUnavailable):
        await listen(speech)
    inworld.release.set()
    assert len(await listener) == 3
    await closing
    assert (await the_receipt(store)).usage.outcome is Outcome.COMPLETED


async def test_closing_ends_what_takes_too_long(
    speech: Speech, store: LedgerStore, inworld: FakeInworld
) -> None:
    inworld.script(Answer(stall_after=1))
    has_begun = asyncio.Event()

    async def hear() -> None:
        async with speech.spoken(USER, UTTERANCE) as audio:
            has_begun.set()
            async for _ in audio:
                pass

    listener = asyncio.create_task(hear())
    await has_begun.wait()
    await speech.close(0.01)
    # Its books are settled by now.
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (COST, Outcome.INTERRUPTED)
    await asyncio.wait({listener})
    assert listener.cancelled()


async def test_the_voice_is_only_so_far_ahead_of_its_listener(
    make: Make, inworld: FakeInworld
) -> None:
    inworld.script(Answer(pieces=repeat(b"~" * 2**20)))
    async with make().spoken(USER, UTTERANCE) as audio:
        for _ in range(3):
            await anext(audio)
        await inworld.wait_until(lambda: inworld.asked[0].spoken >= 8)
        # What two ends of a connection hold besides has bounds too.
        assert inworld.asked[0].spoken < 32
    await inworld.wait_for_disconnect()


async def test_a_voice_that_is_busy_says_so_and_takes_nothing(
    make: Make, store: LedgerStore, inworld: FakeInworld
) -> None:
    jobs = Jobs(1, 1)
    speech = make(jobs=jobs)
    inworld.script(Answer(never_answer=True))
    waiting = [asyncio.create_task(listen(speech)) for _ in range(2)]
    await inworld.wait_until(lambda: len(inworld.asked) == 1)
    await eventually(lambda: jobs.waiting == 1)
    with pytest.raises(ServiceUnavailable) as caught:
        await listen(speech)
    assert caught.value.headers["Retry-After"]
    inworld.release.set()
    assert [len(sounds) for sounds in await asyncio.gather(*waiting)] == [3, 3]
    assert sorted(receipt.charged for receipt in await receipts(store)) == [0, COST, COST]
