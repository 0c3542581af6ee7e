"""Reads what the database's functions answer. What is not of the expected kind is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from chuk.credits.money import MicroEuro

Item = TypeVar("Item")


def nothing(value: object) -> None:
    """The answer of a function that answers nothing."""
    if value is not None:
        raise TypeError


def text(value: object) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def number(value: object) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def micro_euro(value: object) -> MicroEuro:
    """Money."""
    return MicroEuro(number(value))


def truth(value: object) -> bool:
    """Yes or no."""
    if not isinstance(value, bool):
        raise TypeError
    return value


def decimal(value: object) -> Decimal:
    """An exact number, which travels as text."""
    return Decimal(text(value))


def moment(value: object) -> datetime:
    """A moment, in UTC."""
    read = datetime.fromisoformat(text(value))
    if read.tzinfo is None:
        raise ValueError
    return read.astimezone(UTC)


def fields(value: object) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise TypeError
    return value


def optional(read: Callable[[Any], Item]) -> Callable[[Any], Item | None]:
    """The same, or null."""
    return lambda value: None if value is None else read(value)


def each(read: Callable[[Any], Item]) -> Callable[[Any], Sequence[Item]]:
    """A list of the same."""

    def read_list(value: object) -> Sequence[Item]:
        if not isinstance(value, list):
            raise TypeError
        return [read(item) for item in value]

    return read_list


def rows(read: Callable[[Any], Item]) -> Callable[[Any], Sequence[Item]]:
    """A list as a function answers it: in an object."""
    return lambda value: each(read)(fields(value)["rows"])
