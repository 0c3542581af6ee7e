"""Events as bytes, and back."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import pytest

from chuk.chat.event_codec import UnreadableEvents, decode, encode
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
from tests.web.every_error import EXAMPLES

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
