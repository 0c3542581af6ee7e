"""What means the same has the same fingerprint, and nothing else has."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.command import ChatCommand, Message
from chuk.idempotency.fingerprint import file_hash, fingerprint


async def of(meaning: Any, *, key: str = "key-1", endpoint: str = "chat") -> str:
    return await fingerprint(key, endpoint, meaning)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        ([["a"], "b"], [["a", "b"]]),
        (["a", None], ["a"]),
        (1, "1"),
        (1, True),
        (1, 1.0),
        (b"a", "a"),
        ({"a": "b"}, ["a", "b"]),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ("é", "e\u0301"),
        ("\ud800", "?"),
    ],
)
async def test_what_differs_differs(one: Any, other: Any) -> None:
    assert await of(one) != await of(other)
    assert await of([one]) != await of(one)


async def test_the_key_and_the_endpoint_count_too() -> None:
    assert await of("a") != await of("a", endpoint="image")
    assert await of("a") != await of("a", key="key-2")


async def test_the_order_of_names_does_not_count() -> None:
    assert await of({"a": 1, "b": 2}) == await of({"b": 2, "a": 1})
    assert await of(["a"]) == await of(("a",))


@given(message=st.text(), temperature=st.floats(0, 2), tokens=st.integers(1, 9_999))
async def test_every_field_of_a_command_counts(
    message: str, temperature: float, tokens: int
) -> None:
    command = ChatCommand("m", (Message("user", message),), None, tokens, temperature)
    same = ChatCommand("m", (Message("user", message),), None, tokens, temperature)
    assert await of(command) == await of(same)
    longer = ChatCommand("m", (Message("user", message + "."),), None, tokens, temperature)
    assert await of(command) != await of(longer)


@dataclass(frozen=True)
class Older:
    name: str


@dataclass(frozen=True)
class Newer:
    name: str
    colour: str | None = None
    tags: tuple[str, ...] = ()
    manner: str = field(default="", compare=False)


async def test_a_field_that_is_not_compared_means_nothing() -> None:
    assert await of(Newer("fox", "red", manner="curt")) == await of(Newer("fox", "red"))


async def test_a_field_that_came_later_changes_nothing_while_it_has_its_default() -> None:
    assert await of(Older("fox")) == await of(Newer("fox"))
    assert await of(Older("fox")) != await of(Newer("fox", "red"))


async def test_large_and_small_are_hashed_the_same_way(tmp_path: Path) -> None:
    picture = "data:image/png;base64," + "A" * 3_000_000
    assert await of(picture) == await of(str(picture))
    assert await of(picture) != await of(picture[:-1] + "B")
    assert await of(["a", "b" * 70_000]) != await of(["a" + "b" * 70_000])
    (tmp_path / "one").write_bytes(b"one")
    assert await file_hash(tmp_path / "one") == (
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    )
