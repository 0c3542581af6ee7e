"""Recordings and their books: measured, held before, settled by the started second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chuk.adapters.groq import READS, Groq
from chuk.adapters.sound import ChildSoundDecoder
from chuk.credits.ledger import Basis, Operation, Outcome, Receipt
from chuk.credits.ports import LedgerStore
from chuk.credits.service import Credits
from chuk.errors import (
    CorruptFile,
    FileTooLarge,
    InsufficientCredits,
    InvalidRequest,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
    UnsupportedFormat,
)
from chuk.media.formats import Format
from chuk.media.jobs import Jobs
from chuk.media.ports import Sound
from chuk.media.recording import Hints
from chuk.media.transcribe import Bounds, Transcriptions
from tests.credits.books import EURO, PRICES, USER, Time, give, open_books, receipts
from tests.fakes.groq import Answer, FakeGroq
from tests.forks import run_once
from tests.media.recordings import (
    lying_about_its_length,
    mute_video,
    noise,
    silence,
    spoken_as,
)

PRICE = Decimal("0.0000103")
# Three started seconds at 10.3 micro-euros, rounded up.
COST = 31

Make = Callable[..., Transcriptions]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LedgerStore]:
    """Real books of a user with ten euros; proven at the end."""
    async with open_books(tmp_path, Time()) as books:
        await give(books, 10 * EURO)
        yield books


@pytest.fixture
async def groq() -> AsyncIterator[FakeGroq]:
    async with FakeGroq() as fake:
        yield fake


@pytest.fixture
async def make(store: LedgerStore, groq: FakeGroq) -> AsyncIterator[Make]:
    """Make the service, pointed at the stand-in."""
    credit_service = Credits(store, PRICES, owner="process-1", hold_lease=60.0)
    recogniser = Groq(
        api_key=groq.api_key,
        base_url=groq.base_url,
        model="whisper-large-v3-turbo",
        connect_timeout=5.0,
        timeout=20.0,
    )

    def made(*, timeout: float = 60.0, max_seconds: int = 60, **options: Any) -> Transcriptions:
        decoder = ChildSoundDecoder(
            run_once=run_once,
            kept=READS,
            written=Format.FLAC,
            most_seconds=max_seconds,
            timeout=60.0,
        )
        usual: dict[str, Any] = {
            "price": PRICE,
            "bounds": Bounds(25_000_000, max_seconds, timeout),
            "decoding": Jobs(2, 8),
        }
        return Transcriptions(decoder, recogniser, credit_service, **{**usual, **options})

    yield made
    await recogniser.close()
    await credit_service.close()


@pytest.fixture
def transcriptions(make: Make) -> Transcriptions:
    return make()


def a_file(folder: Path, content: bytes) -> Path:
    path = folder / "upload"
    path.write_bytes(content)
    return path


async def the_receipt(store: LedgerStore) -> Receipt:
    """The only row there is; the hold behind it is ended."""
    (receipt,) = await receipts(store)
    assert (await store.purse(USER)).held == 0
    return receipt


async def test_each_started_second_is_paid_for(
    transcriptions: Transcriptions, store: LedgerStore, tmp_path: Path
) -> None:
    path = a_file(tmp_path, noise(2.2))
    transcript = await transcriptions.transcribe(USER, path, "note.wav", Hints())
    assert transcript.text == "Good morning."
    assert transcript.seconds == pytest.approx(2.2, abs=0.01)
    receipt = await the_receipt(store)
    assert (receipt.operation, receipt.held, receipt.charged) == (
        Operation.TRANSCRIPTION,
        COST,
        COST,
    )
    usage = receipt.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (0, 0, 3)
    assert (usage.model_id, usage.provider_slug) == ("whisper-large-v3-turbo", "groq")
    assert (usage.outcome, usage.basis) == (Outcome.COMPLETED, Basis.ESTIMATE)
    assert float(usage.cost_usd) == pytest.approx(COST / 1e6 / 0.92 / 1.1)


async def test_neither_a_header_nor_the_recogniser_decides_what_is_paid(
    transcriptions: Transcriptions, store: LedgerStore, tmp_path: Path
) -> None:
    # The header says an hour, and the stand-in always says 12345.6 seconds.
    path = a_file(tmp_path, lying_about_its_length(noise(2.2)))
    await transcriptions.transcribe(USER, path, "note.wav", Hints())
    assert (await the_receipt(store)).charged == COST


async def test_silence_is_sent_to_nobody_and_costs_nothing(
    transcriptions: Transcriptions, store: LedgerStore, groq: FakeGroq, tmp_path: Path
) -> None:
    path = a_file(tmp_path, silence(2.2))
    assert (await transcriptions.transcribe(USER, path, "note.wav", Hints())).text == ""
    assert groq.asked == []
    receipt = await the_receipt(store)
    assert (receipt.held, receipt.charged, receipt.usage.total_tokens) == (0, 0, 3)


async def test_without_credits_nothing_is_sent(
    transcriptions: Transcriptions, groq: FakeGroq, tmp_path: Path
) -> None:
    path = a_file(tmp_path, noise(1))
    with pytest.raises(InsufficientCredits):
        await transcriptions.transcribe(uuid4(), path, "note.wav", Hints())
    assert groq.asked == []


async def test_where_it_is_free_nobody_needs_credits(make: Make, tmp_path: Path) -> None:
    path = a_file(tmp_path, noise(1))
    free = make(price=Decimal(0))
    assert (await free.transcribe(uuid4(), path, "note.wav", Hints())).text


async def test_a_failure_costs_nothing(
    transcriptions: Transcriptions, store: LedgerStore, groq: FakeGroq, tmp_path: Path
) -> None:
    groq.script(Answer(status=401))
    with pytest.raises(ProviderError):
        await transcriptions.transcribe(USER, a_file(tmp_path, noise(1)), "note.wav", Hints())
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.FAILED)


async def test_one_that_takes_too_long_costs_nothing_and_is_hung_up_on(
    make: Make, store: LedgerStore, groq: FakeGroq, tmp_path: Path
) -> None:
    groq.script(Answer(never_answer=True))
    with pytest.raises(ProviderTimeout):
        await make(timeout=3.0).transcribe(USER, a_file(tmp_path, noise(1)), "a.wav", Hints())
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.FAILED)
    await groq.wait_for_disconnect()


async def test_whoever_leaves_pays_nothing(
    transcriptions: Transcriptions, store: LedgerStore, groq: FakeGroq, tmp_path: Path
) -> None:
    groq.script(Answer(never_answer=True))
    path = a_file(tmp_path, noise(1))
    task = asyncio.create_task(transcriptions.transcribe(USER, path, "note.wav", Hints()))
    await groq.wait_for_recordings()
    task.cancel()
    await asyncio.wait({task})
    receipt = await the_receipt(store)
    assert (receipt.charged, receipt.usage.outcome) == (0, Outcome.CANCELLED)
    await groq.wait_for_disconnect()


async def test_a_recording_over_the_limit_is_refused_and_the_last_second_is_not(
    make: Make, store: LedgerStore, groq: FakeGroq, tmp_path: Path
) -> None:
    transcriptions = make(max_seconds=3)
    with pytest.raises(FileTooLarge) as caught:
        await transcriptions.transcribe(USER, a_file(tmp_path, noise(4.1)), "a.wav", Hints())
    assert caught.value.details["max_duration_seconds"] == 3
    assert groq.asked == [] and await receipts(store) == []
    path = a_file(tmp_path, noise(3.5))
    assert (await transcriptions.transcribe(USER, path, "a.wav", Hints())).text


async def test_what_it_is_decides_its_content(
    transcriptions: Transcriptions, groq: FakeGroq, tmp_path: Path
) -> None:
    path = a_file(tmp_path, spoken_as("ogg"))
    await transcriptions.transcribe(USER, path, "notes.txt", Hints())
    assert groq.asked[0].file_name == "audio.ogg"


async def test_what_the_recogniser_does_not_read_is_sent_as_flac(
    transcriptions: Transcriptions, groq: FakeGroq, tmp_path: Path
) -> None:
    await transcriptions.transcribe(USER, a_file(tmp_path, spoken_as("aac")), "a.aac", Hints())
    (asked,) = groq.asked
    assert asked.file_name == "audio.flac" and asked.file.startswith(b"fLaC")


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(500), "song.mp3", "mp3"),
        (b"MZ\x90\0\x03" + bytes(range(256)) * 4, "song.mp3", "mp3"),
        (b"%PDF-1.7\n", "song.mp3", "pdf"),
        (b"Dear diary, nobody sings here.", "song.mp3", "text"),
    ],
)
async def test_what_is_no_recording_is_not_supported(
    transcriptions: Transcriptions, tmp_path: Path, content: bytes, name: str, told: str
) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        await transcriptions.transcribe(USER, a_file(tmp_path, content), name, Hints())
    assert caught.value.details["format"] == told


@pytest.mark.parametrize("content", [b"ID3\x04" + bytes(600), mute_video()])
async def test_what_cannot_be_heard_is_corrupt_and_costs_nothing(
    transcriptions: Transcriptions, store: LedgerStore, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(CorruptFile):
        await transcriptions.transcribe(USER, a_file(tmp_path, content), "a.mp3", Hints())
    assert await receipts(store) == []


async def test_a_language_that_nobody_understands_is_refused(
    transcriptions: Transcriptions, groq: FakeGroq, tmp_path: Path
) -> None:
    path = a_file(tmp_path, noise(1))
    with pytest.raises(InvalidRequest) as caught:
        await transcriptions.transcribe(USER, path, "a.wav", Hints(language="eo"))
    assert "language" in caught.value.message and groq.asked == []


async def test_too_many_at_once_wait_and_then_are_refused(
    make: Make, groq: FakeGroq, tmp_path: Path
) -> None:
    transcriptions = make(listening=Jobs(1, 1))
    path = a_file(tmp_path, noise(1))
    groq.script(*[Answer(never_answer=True)] * 2)

    def begun() -> asyncio.Task[Any]:
        return asyncio.create_task(transcriptions.transcribe(USER, path, "a.wav", Hints()))

    first = begun()
    await groq.wait_for_recordings()
    others = [begun(), begun()]
    (refused,), (waiting,) = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(ServiceUnavailable) as caught:
        refused.result()
    assert caught.value.headers["Retry-After"]
    groq.release.set()
    await asyncio.gather(first, waiting)


async def test_a_recording_inside_a_file_is_paid_for_as_one(
    transcriptions: Transcriptions, store: LedgerStore, tmp_path: Path
) -> None:
    sound = Sound(a_file(tmp_path, noise(2.2)), Format.WAV)
    assert await transcriptions.transcript(USER, sound) == "Good morning."
    assert (await the_receipt(store)).charged == COST
