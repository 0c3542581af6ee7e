"""The seal on what Redis keeps of answers, and the names that it hides."""

from __future__ import annotations

import hmac

import pytest

from chuk.adapters.redis.sealing import Seals, Unsealable
from tests.contracts.stores import ADA, BOB

KEY = bytes(range(32))


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
