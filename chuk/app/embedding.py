"""Who makes vectors: OpenRouter's models, the embedded one, both, or nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from chuk.adapters.minilm import MODEL, MiniLm, embedded_model
from chuk.adapters.openrouter_embeddings import OpenRouterEmbedder
from chuk.app.embedded import ALONE, Embedded
from chuk.app.parts import Part
from chuk.catalog.selection import Selection
from chuk.credits.service import Credits
from chuk.media.embed import Embedding, Embeddings
from chuk.media.jobs import Jobs
from chuk.settings import Settings


@dataclass(frozen=True, slots=True)
class EmbeddingDesk:
    """What the routes, the doctor and the end of the application need of it.

    Attributes:
        embeddings: None where nobody makes vectors.
    """

    embeddings: Embeddings | None
    queues: Mapping[str, Jobs]
    part: Part
    close: Callable[[], Awaitable[None]]


def make_embeddings(
    settings: Settings,
    session: aiohttp.ClientSession,
    credit_service: Credits,
    selection: Selection,
    embedded: Embedded = ALONE,
) -> EmbeddingDesk:
    """Everybody whom the settings name; nothing runs yet."""
    media, upstream = settings.media, settings.upstream
    offered: list[Embedding] = []
    names: list[str] = []
    queues: dict[str, Jobs] = {}
    close = _nothing
    folder = embedded_model()
    if folder is not None:
        minilm = MiniLm(folder, timeout=media.embedding_timeout, make_worker=embedded.make_worker)
        queues["embedding"] = Jobs(media.workers, media.queue)
        offered.append(Embedding(minilm, queues["embedding"]))
        names.append(f"embedded {MODEL.name}")
        close = minilm.close
    if upstream.openrouter_api_key:
        url = upstream.openrouter_base_url
        openrouter = OpenRouterEmbedder(
            session,
            base_url=url,
            api_key=upstream.openrouter_api_key,
            selection=selection,
            timeout=media.embedding_timeout,
            refresh=upstream.catalog_refresh,
        )
        offered.append(Embedding(openrouter))
        names.append(f"OpenRouter at {url}")
    if not offered:
        return EmbeddingDesk(None, {}, Part("embeddings", "nobody", _off), close)
    embeddings = Embeddings(offered, credit_service)

    async def count() -> str:
        return f"{len(await embeddings.models())} model(s)"

    part = Part("embeddings", " and ".join(names), count)
    return EmbeddingDesk(embeddings, queues, part, close)


async def _off() -> str:
    return "off: no OPENROUTER_API_KEY, and no embedded model: see the extra `vectors`"


async def _nothing() -> None:
    """There is nothing to end."""
