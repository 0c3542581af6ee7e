"""What a request means, as a hash: two that mean the same have the same one."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

_LARGE = 65_536
_STEP = 2**20


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def key_hash(user_id: UUID, key: str) -> str:
    """Stands for one user's key."""
    return hashlib.sha256(b"key\0" + user_id.bytes + key.encode()).hexdigest()


def owner_hash(user_id: UUID) -> str:
    """Stands for a user."""
    return hashlib.sha256(b"owner\0" + user_id.bytes).hexdigest()


async def fingerprint(key: str, endpoint: str, meaning: Any) -> str:
    """SHA-256 over an endpoint and what it was asked for; a large one is made beside the loop.

    Args:
        key: goes in too, so that nobody can find a short text by trying.
        meaning: texts, numbers, sequences, mappings and dataclasses, one within the other.
            Fields of a dataclass that have their defaults do not count: a new field changes
            the meaning of nothing that was asked for before. Nor do those that are not compared.
    """
    if _size(meaning) < _LARGE:
        return _hashed(key, endpoint, meaning)
    return await asyncio.to_thread(_hashed, key, endpoint, meaning)


async def file_hash(path: Path) -> str:
    """SHA-256 of a file, read beside the loop.

    Raises:
        OSError: it cannot be read.
    """
    return await asyncio.to_thread(_of_file, path)


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hashed(key: str, endpoint: str, meaning: Any) -> str:
    result = hashlib.sha256()
    for part in (key, endpoint, meaning):
        _feed(result, part)
    return result.hexdigest()


def _feed(result: _Hash, value: Any) -> None:
    """Each value with its kind and its length, so that no two read the same."""
    if isinstance(value, str):
        result.update(b"s%d:" % len(value))
        # In steps: a picture is megabytes, and making bytes of it all holds the interpreter.
        for start in range(0, len(value), _STEP):
            result.update(value[start : start + _STEP].encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        result.update(b"b%d:" % len(value))
        result.update(value)
    elif value is None or isinstance(value, (bool, int, float)):
        result.update(f"{type(value).__name__}{value!r};".encode())
    elif isinstance(value, Mapping):
        result.update(b"m%d:" % len(value))
        for name in sorted(value):
            _feed(result, name)
            _feed(result, value[name])
    elif isinstance(value, Sequence):
        result.update(b"l%d:" % len(value))
        for item in value:
            _feed(result, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _feed(result, {name: getattr(value, name) for name in _told_fields(value)})
    else:
        raise TypeError(type(value).__name__)


def _told_fields(value: Any) -> list[str]:
    told: list[str] = []
    for field in dataclasses.fields(value):
        default: Any = field.default
        if not field.compare:
            continue
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING or getattr(value, field.name) != default:
            told.append(field.name)
    return told


def _size(value: Any) -> int:
    """About how many characters there are to hash."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, Sequence):
        return sum(map(_size, value))
    if dataclasses.is_dataclass(value):
        return sum(_size(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 1
