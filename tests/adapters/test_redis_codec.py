"""What Redis keeps of answers: events as bytes and back, and the seal on them."""

from __future__ import annotations

import hmac
from itertools import combinations
from typing import get_args

import pytest

from chuk.adapters.redis.codec import UnreadableEvents, decode, encode
from chuk.adapters.redis.sealing import Seals, Unsealable
from chuk.chat.event_log import Stretch
from chuk.chat.events import (
    Content,
    Done,
    Failed,
    Meta,
    Reasoning,
    Speed,
    Started,
    ToolCalls,
    TurnEvent,
    Usage,
)
from chuk.credits.ledger import Basis
from chuk.credits.money import MicroEuro
from chuk.errors import ProviderError
from chuk.web.envelope import Profile
from chuk.web.events import event_json
from tests.contracts.stores import ADA, BOB
from tests.web.every_error import EXAMPLES

KEY = bytes(range(32))
EVENTS: list[TurnEvent] = [
    Started("019a"),
    Content(["Grüße 🌍".encode(), b'\\n\\"\\u0000', b"a"]),
    Reasoning([b"so"]),
    ToolCalls([b'[{"index": 0,\n "function": {"arguments": "{\\"a"}}]', b"[]"]),
    Usage(
        prompt_tokens=45,
        completion_tokens=128,
        total_tokens=173,
        cost=MicroEuro(420),
        held=MicroEuro(9_000),
        basis=Basis.ESTIMATE,
        provider="groq",
        is_free_message=False,
        is_zdr=True,
        estimated=True,
        finish_reason="length",
    ),
    Meta("qwen/qwen3-32b", "groq", free_message=True),
    Speed(51.123456789),
    Done(),
]


def test_every_kind_of_event_comes_back_as_it_was() -> None:
    assert {type(event) for event in EVENTS} | {Failed} == set(get_args(TurnEvent))
    assert decode(encode(EVENTS)) == EVENTS
    for one, other in combinations(EVENTS, 2):
        assert decode(encode([one, other, one])) == [one, other, one]
    (usage,) = [event for event in decode(encode(EVENTS)) if isinstance(event, Usage)]
    assert type(usage.basis) is Basis


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("profile", Profile)
def test_every_error_is_shown_as_it_was(name: str, profile: Profile) -> None:
    error = EXAMPLES[name]
    (failed,) = decode(encode([Failed(error)]))
    assert isinstance(failed, Failed)
    assert event_json(failed, profile) == event_json(Failed(error), profile)
    assert (failed.error.status, failed.error.headers) == (error.status, error.headers)
    assert str(failed.error) == str(error)


def test_an_error_of_a_kind_that_is_not_known_is_what_its_code_says() -> None:
    (failed,) = decode(b'Failed\n["PROVIDER_ERROR", "a", {}, {}, "Applause"]')
    assert isinstance(failed, Failed) and type(failed.error) is ProviderError


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Applause\n{}",
        b"Meta\n{",
        b"Meta\n[]",
        b'Meta\n{"model": "a"}',
        b'Meta\n{"applause": 1}',
        b"Usage\n{}",
        b'Failed\n["APPLAUSE", "a", {}, {}, "Applause"]',
        b"Failed\n[]",
        b"Started",
        b"\x00",
        encode(EVENTS)[:-1],
    ],
)
def test_what_is_not_known_is_an_error_that_repeats_nothing(data: bytes) -> None:
    with pytest.raises(UnreadableEvents) as caught:
        decode(data)
    assert "Applause" not in str(caught.value) and "APPLAUSE" not in str(caught.value)


def test_a_seal_opens_only_with_its_key_in_its_stream_at_its_place() -> None:
    seal = Seals(KEY).of("stream")
    sealed = seal.seal(b"7-0", b"a reply")
    assert Seals(KEY).of("stream").open(b"7-0", sealed) == b"a reply"
    assert b"reply" not in sealed
    assert seal.seal(b"7-0", b"a reply") != sealed
    for other, place in (
        (Seals(KEY[::-1]).of("stream"), b"7-0"),
        (Seals(KEY).of("stream2"), b"7-0"),
        (seal, b"8-0"),
    ):
        with pytest.raises(Unsealable):
            other.open(place, sealed)


def test_a_seal_that_is_damaged_anywhere_does_not_open() -> None:
    seal = Seals(KEY).of("stream")
    sealed = seal.seal(b"7-0", b"a reply")
    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        with pytest.raises(Unsealable):
            seal.open(b"7-0", bytes(damaged))
        with pytest.raises(Unsealable):
            seal.open(b"7-0", sealed[:place])


def test_a_hidden_name_is_the_same_for_all_processes_and_says_nothing() -> None:
    name = Seals(KEY).name_of(ADA)
    assert name == Seals(KEY).name_of(ADA)
    assert name not in (Seals(KEY).name_of(BOB), Seals(KEY[::-1]).name_of(ADA))
    assert str(ADA) not in name and ADA.hex not in name


def test_what_is_derived_from_the_key_is_what_the_library_says() -> None:
    digest = hmac.digest(KEY, f"user:{ADA}".encode(), "sha256").hex()
    assert digest.startswith(Seals(KEY).name_of(ADA))


def test_a_stretch_of_a_log_is_put_into_bytes_as_its_pieces_are() -> None:
    pieces = [b"a", b"", b"b"]
    for kind in (Content, Reasoning):
        assert encode([Stretch(kind, b"\n".join(pieces))]) == encode([kind(pieces)])
