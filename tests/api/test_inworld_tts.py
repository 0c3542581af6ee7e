"""Speech over HTTP: audio as it comes, plain errors before it, and a cut that nobody overlooks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from itertools import repeat
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import av
import pytest

from chuk.accounts.issuer import DEFAULT_USER
from chuk.api.keys import LEDGER, SPEECH
from chuk.credits.money import euros
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.inworld import Answer, FakeInworld
from tests.harness import RunningServer

PATH = "/v1/ai/inworld-tts"
TEXT = "Three short words"
COST = 0.000079


@pytest.fixture
async def inworld() -> AsyncIterator[FakeInworld]:
    async with FakeInworld() as fake:
        yield fake


def environ(fake: FakeInworld) -> dict[str, str]:
    """The variables that point a server at the stand-in."""
    return {"INWORLD_API_KEY": fake.api_key, "INWORLD_BASE_URL": fake.base_url}


@pytest.fixture
async def speaking(start_server: StartServer, inworld: FakeInworld) -> AsyncIterator[RunningServer]:
    """A server that speaks through the stand-in."""
    async with start_server(**environ(inworld)) as running:
        yield running


def say(server: RunningServer, user: UUID | None = None, **fields: Any) -> Any:
    """A request for speech; by the default user unless it says otherwise."""
    signed_in = server.bearer(user) if user else server.bearer()
    return server.client.post(
        f"{server.url}{PATH}", json={"text": TEXT, **fields}, headers=signed_in
    )


async def refused(
    server: RunningServer, status: int, body: Mapping[str, Any], user: UUID | None = None
) -> Any:
    """The error that a request meets."""
    return (
        await ask(server, user or uuid4(), PATH, method="POST", status=status, json=dict(body))
    )["error"]


@pytest.mark.parametrize(
    ("encoding", "media_type"),
    [("LINEAR16", "audio/wav"), ("MP3", "audio/mpeg"), ("OGG_OPUS", "audio/ogg")],
)
async def test_audio_has_its_media_type_and_is_streamed(
    speaking: RunningServer, inworld: FakeInworld, encoding: str, media_type: str
) -> None:
    inworld.script(Answer(gates={1: (gate := asyncio.Event())}))
    async with say(speaking, audio_encoding=encoding) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Voice"] == "Ashley"
        # The rest is not even made yet.
        first = await answer.content.readany()
        gate.set()
        assert len(first) < len(first + await answer.read())


async def test_what_is_not_said_is_as_the_contract_says(
    speaking: RunningServer, inworld: FakeInworld
) -> None:
    for fields in ({}, dict.fromkeys(["voice_id", "model_id", "audio_encoding", "sample_rate_hz"])):
        async with say(speaking, **fields, extra="ignored") as answer:
            assert answer.content_type == "audio/wav"
            audio = await answer.read()
    for asked in inworld.asked:
        assert asked.body == {
            "text": TEXT,
            "voiceId": "Ashley",
            "modelId": "inworld-tts-1",
            "audioConfig": {"audioEncoding": "LINEAR16", "sampleRateHertz": 48_000},
        }
    with av.open(io.BytesIO(audio)) as file:
        assert file.streams.audio[0].rate == 48_000


async def test_a_form_is_as_good_as_json(speaking: RunningServer, inworld: FakeInworld) -> None:
    fields = {"text": TEXT, "audio_encoding": "MP3", "sample_rate_hz": "24000"}
    async with speaking.client.post(
        f"{speaking.url}{PATH}", data=fields, headers=speaking.bearer()
    ) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    assert inworld.asked[0].body["audioConfig"]["sampleRateHertz"] == 24_000


async def test_a_name_with_other_letters_fits_into_the_header(speaking: RunningServer) -> None:
    async with say(speaking, voice_id="Hélène") as answer:
        assert answer.headers["X-Voice"] == "H%C3%A9l%C3%A8ne"
        await answer.read()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": None}, "text"),
        ({"text": 5}, "text"),
        ({"text": "x" * 2_001}, "text"),
        ({"voice_id": ""}, "voice_id"),
        ({"voice_id": "a\r\nX-Evil: 1"}, "voice_id"),
        ({"model_id": "x" * 201}, "model_id"),
        ({"audio_encoding": "FLAC"}, "audio_encoding"),
        ({"audio_encoding": ["MP3"]}, "audio_encoding"),
        ({"sample_rate_hz": 7_999}, "sample_rate_hz"),
        ({"sample_rate_hz": 48_001}, "sample_rate_hz"),
        ({"sample_rate_hz": 24_000.5}, "sample_rate_hz"),
        ({"sample_rate_hz": "many"}, "sample_rate_hz"),
        ({"sample_rate_hz": True}, "sample_rate_hz"),
        ({"audio_encoding": "OGG_OPUS", "sample_rate_hz": 44_100}, "sample_rate_hz"),
        ({"audio_encoding": "MP3", "sample_rate_hz": 12_345}, "sample_rate_hz"),
    ],
)
async def test_what_cannot_be_spoken_is_refused_by_its_field(
    speaking: RunningServer, inworld: FakeInworld, fields: dict[str, Any], name: str
) -> None:
    error = await refused(speaking, 400, {"text": TEXT, **fields})
    assert (error["code"], list(error["details"]["fields"])) == ("INVALID_REQUEST", [name])
    assert inworld.asked == []


async def test_the_longest_text_counts_characters_and_not_bytes(
    speaking: RunningServer, inworld: FakeInworld
) -> None:
    async with say(speaking, text="😀" * 2_000) as answer:
        assert answer.status == 200
        await answer.read()
    assert inworld.charged == 2_000


async def test_it_is_paid_by_the_character(speaking: RunningServer) -> None:
    user = await rich(speaking)
    async with say(speaking, user) as answer:
        await answer.read()
    (receipt,) = await receipts_of(speaking, user)
    assert (receipt["operation"], receipt["outcome"]) == ("speech", "completed")
    assert (receipt["charged_eur"], receipt["total_tokens"]) == (COST, len(TEXT))
    status = await ask(speaking, user, "/v1/user/status")
    assert status["credits_remaining"] == euros(10_000_000 - 79)  # type: ignore[arg-type]


async def test_without_credits_it_is_refused(speaking: RunningServer, inworld: FakeInworld) -> None:
    error = await refused(speaking, 402, {"text": TEXT})
    assert error["code"] == "INSUFFICIENT_CREDITS"
    assert error["details"]["operation"] == "speech"
    assert inworld.asked == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(status=401), 502, "PROVIDER_ERROR"),
        (Answer(status=429, headers={"Retry-After": "3"}), 503, "MODEL_UNAVAILABLE"),
        (Answer(status=504), 504, "PROVIDER_TIMEOUT"),
        (Answer(error={"code": 13, "message": TEXT}), 502, "PROVIDER_ERROR"),
        (Answer(break_after=0), 502, "PROVIDER_ERROR"),
        (Answer(pieces=[]), 500, "GENERATION_FAILED"),
    ],
)
async def test_what_fails_before_the_first_sound_is_a_plain_error_and_costs_nothing(
    speaking: RunningServer, inworld: FakeInworld, answer: Answer, status: int, code: str
) -> None:
    user = await rich(speaking)
    inworld.script(answer)
    assert (await refused(speaking, status, {"text": TEXT}, user))["code"] == code
    (receipt,) = await receipts_of(speaking, user)
    assert (receipt["charged_eur"], receipt["outcome"]) == (0.0, "failed")


async def test_a_slow_service_is_given_up(start_server: StartServer, inworld: FakeInworld) -> None:
    inworld.script(Answer(never_answer=True))
    async with start_server(**environ(inworld), CHUK_MEDIA_SPEECH_TIMEOUT="0.05") as server:
        assert (await refused(server, 504, {"text": TEXT}, await rich(server)))["code"] == (
            "PROVIDER_TIMEOUT"
        )


@pytest.mark.parametrize(
    "answer", [Answer(break_after=2), Answer(error={"code": 13}, error_after=2)]
)
async def test_what_breaks_off_is_cut_inside_the_body(
    speaking: RunningServer, inworld: FakeInworld, answer: Answer
) -> None:
    inworld.script(answer)
    async with say(speaking) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert speaking.app[SPEECH].interrupted == 1
    # The server is as well as before.
    async with say(speaking) as response:
        assert await response.read()


async def test_who_leaves_silences_the_service_and_leaves_no_hold(
    speaking: RunningServer, inworld: FakeInworld
) -> None:
    user = await rich(speaking)
    inworld.script(Answer(stall_after=1))
    async with say(speaking, user) as answer:
        await answer.content.readany()
        answer.close()
    await inworld.wait_for_disconnect()
    async with asyncio.timeout(30):
        while not (found := await receipts_of(speaking, user)):  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    assert (found[0]["charged_eur"], found[0]["outcome"]) == (COST, "cancelled")
    assert (await speaking.app[LEDGER].purse(user)).held == 0


async def test_who_reads_nothing_is_cut(start_server: StartServer, inworld: FakeInworld) -> None:
    inworld.script(Answer(pieces=repeat(b"~" * 2**20)))
    async with start_server(**environ(inworld), CHUK_CHAT_STALL_TIMEOUT="0.1") as server:
        user = await rich(server)
        async with say(server, user, audio_encoding="MP3") as answer:
            await inworld.wait_for_disconnect()
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        (receipt,) = await receipts_of(server, user)
        assert (receipt["charged_eur"], receipt["outcome"]) == (COST, "cancelled")


async def test_it_has_a_limit_of_its_own(start_server: StartServer, inworld: FakeInworld) -> None:
    async with start_server(**environ(inworld), CHUK_LIMIT_SPEECH="2") as server:
        for _ in range(2):
            async with say(server) as answer:
                assert answer.headers["X-RateLimit-Limit"] == "2"
                await answer.read()
        async with say(server) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0


async def test_switched_off_it_says_so(start_server: StartServer, inworld: FakeInworld) -> None:
    async with start_server(**environ(inworld), CHUK_MEDIA_SPEECH_ENABLED="false") as server:
        for body in ({"text": TEXT}, {}):
            assert (await refused(server, 503, body))["code"] == "FEATURE_DISABLED"
        config = await ask(server, uuid4(), "/v1/ai/config")
        assert config["features"]["speech"] is False


async def test_nobody_may_without_a_token(speaking: RunningServer) -> None:
    async with speaking.client.post(f"{speaking.url}{PATH}", json={"text": TEXT}) as answer:
        assert answer.status == 401


async def test_the_configuration_tells_what_it_does(speaking: RunningServer) -> None:
    config = await ask(speaking, uuid4(), "/v1/ai/config")
    assert config["features"]["speech"] is True
    assert config["formats"]["speech"] == ["LINEAR16", "MP3", "OGG_OPUS"]
    assert config["prices"]["speech_per_character_eur"] == 0.0000046
    assert config["limits"]["speech_text_max"] == 2_000


async def test_without_a_key_the_embedded_voice_speaks_for_nothing(server: RunningServer) -> None:
    user = uuid4()
    async with say(server, user, voice_id="Anybody", audio_encoding="MP3") as answer:
        assert answer.status == 200
        assert answer.headers["X-Voice"] == "en_US-joe-medium"
        audio = await answer.read()
    with av.open(io.BytesIO(audio)) as file:
        assert file.streams.audio[0].rate == 48_000
        assert sum(frame.samples for frame in file.decode(audio=0)) > 48_000 / 2
    (receipt,) = await receipts_of(server, user)
    assert (receipt["charged_eur"], receipt["total_tokens"]) == (0.0, len(TEXT))
    assert (receipt["model"], receipt["provider"]) == ("en_US-joe-medium", "local")
    error = await refused(server, 400, {"text": "\u200b"}, user)
    assert list(error["details"]["fields"]) == ["text"]


async def test_who_leaves_the_embedded_voice_leaves_it_to_the_others(server: RunningServer) -> None:
    async with say(server, text="A sentence that is said again and again. " * 48) as answer:
        await answer.content.readany()
        answer.close()
    async with say(server, uuid4(), text="Yes.") as answer:
        assert len(await answer.read()) > 1_000
    (receipt,) = await receipts_of(server, DEFAULT_USER)
    assert receipt["outcome"] == "cancelled"
