"""Texts made vectors: hold, embed, settle. A text is paid for by its tokens."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chuk.credits.money import MicroEuro
from chuk.media.ports import EmbeddingModel

MOST_INPUTS = 256


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of some texts.

    Attributes:
        vectors: one for each text, in the order of the texts; 32-bit floats. `tobytes()` is what
            OpenAI's `base64` encodes, `tolist()` its `float`.
        prompt_tokens: of all texts.
        cost: what its user pays.
    """

    model_id: str
    vectors: Sequence[array[float]]
    prompt_tokens: int
    cost: MicroEuro


class EmbeddingService(Protocol):
    """Makes vectors of texts, and has them paid for."""

    async def models(self) -> Sequence[EmbeddingModel]:
        """What may be asked for, as lists show it. Empty where upstream never told."""
        ...

    async def embed(
        self,
        user_id: UUID,
        model_id: str,
        inputs: Sequence[str],
        dimensions: int | None = None,
        api_key_id: UUID | None = None,
    ) -> Embedded:
        """One vector for each text. Being cancelled gives the credits back.

        Args:
            dimensions: of shorter vectors; None: as the model makes them.

        Raises:
            ModelNotFound: no such model.
            InvalidRequest: no text, too many (`MOST_INPUTS`), an empty one, or dimensions that
                the model does not make.
            ContextTooLong: a text has more tokens than the model reads.
            InsufficientCredits, QuotaExceeded, Forbidden, ServiceUnavailable: see `Credits.open`.
            ProviderError, ModelUnavailable, ProviderTimeout: the model is not to be had.
        """
        ...
