"""What the catalogue needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chuk.catalog.models import Model


class ModelSource(Protocol):
    """Where the models come from."""

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        """Return every model that may be offered now, already restricted to ZDR providers.

        The same object as the last time means that nothing has changed.

        Args:
            known: the last known list, from which a model whose own page cannot be had is kept.

        Raises:
            CatalogUnavailable: the list, or the ZDR list, could not be had or was empty.
        """
        ...


class KeptList(Protocol):
    """Keeps the last known list over a restart."""

    async def load(self) -> tuple[Model, ...] | None:
        """The list that was saved last; None when there is none that can be used."""
        ...

    async def save(self, models: Sequence[Model]) -> bool:
        """Replace it; whether that could be done."""
        ...


class CatalogUnavailable(Exception):
    """The source cannot say what it offers. The message names the step, never a body."""


class PartlyUnavailable(CatalogUnavailable):
    """Some of several sources cannot say what they offer.

    Attributes:
        models: what can be offered all the same.
    """

    def __init__(self, message: str, models: Sequence[Model]) -> None:
        self.models = models
        super().__init__(message)
