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


class CatalogUnavailable(Exception):
    """The source cannot say what it offers. The message names the step, never a body."""
