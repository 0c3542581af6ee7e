"""The last known good model list, on disk.

One JSON file, replaced atomically. Prices are strings, so that they come back exactly. It names
the source it came from: a list of another source says nothing about what this one serves.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.prices import parse_price

_FORMAT = 1
_MAX_BYTES = 64 * 2**20
_OPTIONAL_PRICES = ("image", "cache_read", "cache_write")

_log = structlog.get_logger(part="catalog")


class _Unreadable(Exception):
    """The file does not hold what this version writes."""


class CatalogStore:
    """Keeps one model list in one file.

    Args:
        file: where; its folder is made when it is missing.
        origin: the source's name, its base URL for one.
    """

    def __init__(self, file: Path, *, origin: str) -> None:
        self._file = file
        self._origin = origin

    async def load(self) -> tuple[Model, ...] | None:
        """The last list saved for this origin; None when there is none that can be used.

        A damaged file is logged and ignored.
        """
        return await asyncio.to_thread(self._load)

    async def save(self, models: Sequence[Model]) -> bool:
        """Replace the list. False, and a line in the log, when the disk refuses."""
        return await asyncio.to_thread(self._save, models)

    def _load(self) -> tuple[Model, ...] | None:
        try:
            with self._file.open("rb") as stream:
                body = stream.read(_MAX_BYTES + 1)
            if len(body) > _MAX_BYTES:
                raise _Unreadable("too large")
            document = orjson.loads(body)
            if not isinstance(document, dict) or document.get("format") != _FORMAT:
                raise _Unreadable("another format")
            if document.get("origin") != self._origin:
                _log.info("catalog_file_of_another_source")
                return None
            return tuple(_model(entry) for entry in _list(document["models"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, _Unreadable) as error:
            _log.warning("catalog_file_ignored", error=type(error).__name__)
            return None

    def _save(self, models: Sequence[Model]) -> bool:
        body = orjson.dumps(
            {
                "format": _FORMAT,
                "origin": self._origin,
                "models": [_entry(model) for model in models],
            }
        )
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(
                dir=self._file.parent, prefix=f".{self._file.name}."
            )
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(body)
                    stream.flush()
                    # Before the rename, or a power cut could leave an empty file behind it.
                    os.fsync(stream.fileno())
                os.replace(name, self._file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.warning("catalog_file_not_written", error=type(error).__name__)
            return False
        return True


def _entry(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "context_length": model.context_length,
        "supports_vision": model.supports_vision,
        "supports_reasoning": model.supports_reasoning,
        "icon_url": model.icon_url,
        "efforts": _names_or_none(model.efforts),
        "providers": [
            {
                "slug": provider.slug,
                "name": provider.name,
                "prompt": str(provider.pricing.prompt),
                "completion": str(provider.pricing.completion),
                "request": str(provider.pricing.request),
                **{
                    name: None if price is None else str(price)
                    for name in _OPTIONAL_PRICES
                    for price in [getattr(provider.pricing, name)]
                },
                "context_length": provider.context_length,
                "max_completion_tokens": provider.max_completion_tokens,
                "is_moderated": provider.is_moderated,
                "icon_url": provider.icon_url,
                "parameters": _names_or_none(provider.parameters),
            }
            for provider in model.providers
        ],
    }


def _model(entry: Mapping[str, object]) -> Model:
    providers = tuple(_provider(each) for each in _list(entry["providers"]))
    if not providers:
        raise _Unreadable("a model without a provider")
    return Model(
        id=_text(entry["id"]),
        name=_text(entry["name"]),
        description=_text(entry["description"]),
        context_length=_count(entry["context_length"]),
        providers=providers,
        supports_vision=entry["supports_vision"] is True,
        supports_reasoning=entry["supports_reasoning"] is True,
        icon_url=_text_or_none(entry["icon_url"]),
        efforts=_names(entry.get("efforts")),
    )


def _provider(entry: Mapping[str, object]) -> Provider:
    limit = entry["max_completion_tokens"]
    prices = {name: parse_price(entry[name]) for name in ("prompt", "completion", "request")}
    # Files of before may lack some of these.
    optional = {name: entry.get(name) for name in _OPTIONAL_PRICES}
    read = {name: parse_price(each) for name, each in optional.items() if each is not None}
    if None in prices.values() or None in read.values():
        raise _Unreadable("a price that is none")
    return Provider(
        slug=_text(entry["slug"]),
        name=_text(entry["name"]),
        pricing=Pricing(
            **{name: price for name, price in {**prices, **read}.items() if price is not None}
        ),
        context_length=_count(entry["context_length"]),
        max_completion_tokens=None if limit is None else _count(limit),
        is_moderated=entry["is_moderated"] is True,
        icon_url=_text_or_none(entry["icon_url"]),
        parameters=_names(entry.get("parameters")),
    )


def _names_or_none(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _names(value: object) -> frozenset[str] | None:
    return None if value is None else frozenset(_text(each) for each in _list(value))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _Unreadable("not a list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Unreadable("not a text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _Unreadable("not a count")
    return value
