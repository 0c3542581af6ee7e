"""Groq's transcriptions: what it is sent, what comes of it, and each failure by its name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chuk.adapters.groq import Groq
from chuk.errors import (
    ChukError,
    CorruptFile,
    FileTooLarge,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    TranscriptionFailed,
)
from chuk.media.formats import Format
from chuk.media.recording import Hints, Recording, Segment, Transcript
from tests.fakes.groq import Answer, FakeGroq

MODEL = "whisper-large-v3-turbo"


@pytest.fixture
async def fake() -> AsyncIterator[FakeGroq]:
    async with FakeGroq() as running:
        yield running


@pytest.fixture
async def groq(fake: FakeGroq) -> AsyncIterator[Groq]:
    adapter = a_groq(fake)
    yield adapter
    await adapter.close()


def a_groq(fake: FakeGroq, **options: Any) -> Groq:
    """The adapter, pointed at the stand-in."""
    usual: dict[str, Any] = {
        "api_key": fake.api_key,
        "base_url": fake.base_url,
        "model": MODEL,
        "connect_timeout": 5.0,
        "timeout": 20.0,
    }
    return Groq(**{**usual, **options})


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    path = tmp_path / "upload"
    path.write_bytes(b"ID3" + b"~" * 300_000)
    return Recording(path, Format.MP3, 61.25, False)


async def failure(groq: Groq, recording: Recording) -> ChukError:
    """How it fails."""
    with pytest.raises(ChukError) as caught:
        await groq.recognised(recording, Hints())
    return caught.value


async def test_it_gets_the_whole_file_under_a_name_of_ours(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    await groq.recognised(recording, Hints())
    (asked,) = fake.asked
    assert asked.file == recording.path.read_bytes()
    assert asked.file_name == "audio.mp3"
    assert asked.fields == {
        "model": MODEL,
        "response_format": "verbose_json",
        "temperature": "0.0",
    }


async def test_hints_are_passed_on_and_a_long_prompt_is_cut_at_its_beginning(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    await groq.recognised(recording, Hints("x" * 1_000 + "Chuk", "de", 0.5))
    (asked,) = fake.asked
    assert asked.fields["language"] == "de"
    assert asked.fields["temperature"] == "0.5"
    assert asked.fields["prompt"] == "x" * 892 + "Chuk"


async def test_what_was_heard_comes_back_with_our_own_measure(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    fake.heard = [(0.0, 1.5, " Guten Morgen."), (1.5, 3.0, " Wie geht es?")]
    fake.language = "German"
    assert await groq.recognised(recording, Hints()) == Transcript(
        text="Guten Morgen. Wie geht es?",
        model=MODEL,
        seconds=61.25,
        language="de",
        segments=(Segment(0.0, 1.5, "Guten Morgen."), Segment(1.5, 3.0, "Wie geht es?")),
    )


async def test_nothing_heard_is_an_empty_text(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    fake.heard = []
    transcript = await groq.recognised(recording, Hints())
    assert (transcript.text, transcript.segments) == ("", ())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, TranscriptionFailed),
        (401, ProviderError),
        (402, ProviderError),
        (403, ProviderError),
        (404, ModelUnavailable),
        (408, ProviderTimeout),
        (413, FileTooLarge),
        (422, TranscriptionFailed),
        (429, ModelUnavailable),
        (498, ModelUnavailable),
        (500, TranscriptionFailed),
        (502, TranscriptionFailed),
        (503, ModelUnavailable),
        (504, ProviderTimeout),
    ],
)
async def test_each_status_has_its_error(
    groq: Groq, fake: FakeGroq, recording: Recording, status: int, kind: type[ChukError]
) -> None:
    fake.script(*[Answer(status=status)] * 2)
    assert type(await failure(groq, recording)) is kind


async def test_a_file_that_it_cannot_read_is_a_corrupt_one(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    message = "could not process file - is it a valid media file?"
    fake.script(Answer(status=400, message=message))
    assert isinstance(await failure(groq, recording), CorruptFile)


async def test_when_to_come_again_is_passed_on_and_not_waited_for(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    fake.script(Answer(status=429, headers={"Retry-After": "47"}))
    error = await failure(groq, recording)
    assert error.headers == {"Retry-After": "47"} and len(fake.asked) == 1


@pytest.mark.parametrize("first", [Answer(status=500), Answer(reset=True), Answer(cut=True)])
async def test_what_may_pass_is_tried_once_more_with_the_whole_file(
    groq: Groq, fake: FakeGroq, recording: Recording, first: Answer
) -> None:
    fake.script(first)
    assert (await groq.recognised(recording, Hints())).text == "Good morning."
    assert [len(asked.file) for asked in fake.asked] == [300_003] * 2


@pytest.mark.parametrize("each", [Answer(status=500), Answer(reset=True), Answer(cut=True)])
async def test_and_not_twice_more(
    groq: Groq, fake: FakeGroq, recording: Recording, each: Answer
) -> None:
    fake.script(*[each] * 3)
    assert isinstance(await failure(groq, recording), TranscriptionFailed)
    assert len(fake.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>Welcome</html>", content_type="text/html"),
        Answer(body=b'{"text": "half'),
        Answer(body=b"[]"),
        Answer(body=b"null"),
        Answer(body=b"{}"),
        Answer(body=b'{"text": 7}'),
        Answer(body=b'{"text": "\\ud800"}'),
        Answer(body=b'{"text": "a", "segments": [{"start": 0}]}'),
        Answer(body=b'{"text": "a", "segments": 3}'),
        Answer(body=b'{"text": "a", "segments": [{"start": "x", "end": 1, "text": "a"}]}'),
        Answer(body=b'{"text": "a", "language": 5}'),
    ],
)
async def test_nonsense_is_a_failure(
    groq: Groq, fake: FakeGroq, recording: Recording, answer: Answer
) -> None:
    fake.script(answer)
    assert isinstance(await failure(groq, recording), TranscriptionFailed)


async def test_segments_and_language_may_be_missing(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    fake.script(Answer(body=json.dumps({"text": "Hello"}).encode()))
    transcript = await groq.recognised(recording, Hints())
    assert (transcript.text, transcript.language, transcript.segments) == ("Hello", None, ())


async def test_one_that_never_answers_is_too_slow(fake: FakeGroq, recording: Recording) -> None:
    groq = a_groq(fake, timeout=0.2)
    fake.script(Answer(never_answer=True))
    assert isinstance(await failure(groq, recording), ProviderTimeout)
    assert len(fake.asked) == 1
    await groq.close()


async def test_one_that_is_not_there_is_unavailable(fake: FakeGroq, recording: Recording) -> None:
    groq = a_groq(fake, base_url="http://127.0.0.1:1")
    assert isinstance(await failure(groq, recording), ModelUnavailable)
    await groq.close()


async def test_whoever_does_not_wait_hangs_up(
    groq: Groq, fake: FakeGroq, recording: Recording
) -> None:
    fake.script(Answer(never_answer=True))
    task = asyncio.create_task(groq.recognised(recording, Hints()))
    await fake.wait_for_recordings()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await fake.wait_for_disconnect()


async def test_a_base_url_may_name_the_version_too(fake: FakeGroq, recording: Recording) -> None:
    groq = a_groq(fake, base_url=f"{fake.base_url}/openai/v1/")
    assert (await groq.recognised(recording, Hints())).text == "Good morning."
    await groq.close()


async def test_the_operator_is_told_whether_the_key_is_good(groq: Groq, fake: FakeGroq) -> None:
    assert await groq.check() == f"has {MODEL}"
    wrong = a_groq(fake, api_key="groq-wrong")
    assert await wrong.check() == "refused with status 401"
    await wrong.close()
