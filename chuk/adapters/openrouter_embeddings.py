"""OpenRouter's embedding models: only those that somebody serves who keeps no data.

https://openrouter.ai/docs/api/reference/embeddings
https://openrouter.ai/docs/features/zdr
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import struct
import sys
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeGuard

import aiohttp
import orjson

from chuk.adapters.openrouter_rows import data_rows
from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.adapters.whole_cost import whole_cost
from chuk.catalog.prices import parse_price
from chuk.catalog.selection import Selection
from chuk.errors import ProviderError, ProviderTimeout, ServiceUnavailable
from chuk.logs import logger
from chuk.media.ports import EmbeddingModel, Vectors

_LONGEST_LIST = 32 * 2**20
# 256 texts of 8,192 numbers, as text.
_LONGEST_ANSWER = 64 * 2**20
_LIST_TIMEOUT = 10.0
_RETRY = 30.0
_PROVIDER = "openrouter"

_log = logger("embeddings")


@dataclass(frozen=True, slots=True)
class _Offer:
    """A model, and the endpoints that keep no data and may be used, by their exact tags."""

    model: EmbeddingModel
    tags: tuple[str, ...]


class OpenRouterEmbedder:
    """An `Embedder` over OpenRouter.

    Its list is asked for when it is needed and older than `refresh`; while it cannot be had the
    last one serves, since each request asks for providers that keep no data by itself.

    Args:
        session: shared; it is not closed here.
        base_url: ends before `/embeddings`.
        timeout: for one request, in seconds.
        refresh: seconds.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        api_key: str,
        selection: Selection,
        timeout: float,
        refresh: float = 3600.0,
        loop_time: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._selection = selection
        self._timeout = timeout
        self._refresh = refresh
        self._loop_time = loop_time
        self._offers: dict[str, _Offer] | None = None
        self._ask_at = -math.inf
        self._one_at_a_time = asyncio.Lock()

    async def models(self) -> Sequence[EmbeddingModel]:
        """See the port."""
        return [offer.model for offer in (await self._list()).values()]

    async def vectors(
        self, model: EmbeddingModel, texts: Sequence[str], dimensions: int | None
    ) -> Vectors:
        """See the port."""
        offer = (await self._list()).get(model.id)
        if offer is None:
            raise ServiceUnavailable
        body: dict[str, Any] = {
            "model": model.id,
            "input": list(texts),
            "encoding_format": "base64",
            "provider": {"only": list(offer.tags), "zdr": True, "data_collection": "deny"},
        }
        if dimensions is not None:
            body["dimensions"] = dimensions
        try:
            answer = await self._asked("POST", "/embeddings", self._timeout, body)
        except _Refused as refused:
            raise refused.meaning(model.id) from None
        try:
            # As many numbers as that are not for the event loop either.
            return await asyncio.to_thread(_vectors, answer, len(texts), dimensions)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            _log.warning("answer_makes_no_sense", model=model.id, error=type(error).__name__)
            raise ProviderError from None

    async def _list(self) -> Mapping[str, _Offer]:
        async with self._one_at_a_time:
            if self._loop_time() >= self._ask_at:
                try:
                    self._offers = await self._fetched()
                    self._ask_at = self._loop_time() + self._refresh
                except (_Refused, ProviderTimeout, ServiceUnavailable, ValueError) as error:
                    self._ask_at = self._loop_time() + _RETRY
                    _log.warning("embedding_models_unknown", error=type(error).__name__)
            if self._offers is None:
                raise ServiceUnavailable
            return self._offers

    async def _fetched(self) -> dict[str, _Offer]:
        listed = await self._asked("GET", "/embeddings/models", _LIST_TIMEOUT)
        zdr = await self._asked("GET", "/endpoints/zdr", _LIST_TIMEOUT)
        models, endpoints = data_rows(listed), data_rows(zdr)
        if models is None or endpoints is None:
            raise ValueError
        offers = {}
        for row in models:
            offer = self._offer(row, endpoints) if isinstance(row, dict) else None
            if offer is not None:
                offers[offer.model.id] = offer
        _log.info("embedding_models_fetched", models=len(offers), listed=len(models))
        return offers

    def _offer(self, row: Mapping[str, Any], endpoints: Sequence[Any]) -> _Offer | None:
        """The model of a row; None where nobody who may be used serves it."""
        model_id = row.get("id")
        if not isinstance(model_id, str) or not self._selection.allows(model_id):
            return None
        prices: dict[str, Decimal] = {}
        lengths: list[Any] = []
        for endpoint in endpoints:
            if not isinstance(endpoint, dict) or endpoint.get("model_id") != model_id:
                continue
            tag, pricing = endpoint.get("tag"), endpoint.get("pricing")
            price = parse_price(pricing.get("prompt")) if isinstance(pricing, dict) else None
            if isinstance(tag, str) and price is not None and self._selection.allows_provider(tag):
                prices[tag] = max(price, prices.get(tag, Decimal(0)))
                lengths.append(endpoint.get("context_length"))
        known = [int(each) for each in (*lengths, row.get("context_length")) if _is_count(each)]
        if not prices or not known:
            return None
        name = row.get("name")
        model = EmbeddingModel(
            id=model_id,
            name=name if isinstance(name, str) else model_id,
            provider_slug=min(prices) if len(prices) == 1 else _PROVIDER,
            dimensions=None,
            context_length=max(known),
            # Whoever serves: what is held must do.
            price=max(prices.values()),
            is_zdr=True,
        )
        return _Offer(model, tuple(sorted(prices)))

    async def _asked(self, method: str, path: str, timeout: float, body: object = None) -> object:
        """The parsed JSON of a 200.

        Raises:
            _Refused: any other status.
            ProviderTimeout, ServiceUnavailable: there is no answer.
            ProviderError: it is too long.
            ValueError: it is no JSON.
        """
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                data=None if body is None else orjson.dumps(body),
                headers={**self._headers, "Content-Type": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout),
            ) as response:
                most = _LONGEST_LIST if body is None else _LONGEST_ANSWER
                answer = bytearray()
                async for chunk in response.content.iter_any():
                    answer += chunk
                    if len(answer) > most:
                        response.close()
                        raise ProviderError
                if response.status != 200:
                    raise _Refused(response.status, answer, response.headers.get("Retry-After"))
        except TimeoutError:
            raise ProviderTimeout from None
        except (aiohttp.ClientError, OSError):
            raise ServiceUnavailable from None
        # Megabytes of numbers: not on the event loop.
        document: object = await asyncio.to_thread(orjson.loads, answer)
        return document


class _Refused(Exception):
    """An answer with another status than 200."""

    def __init__(self, status: int, body: bytes | bytearray, retry_after: str | None) -> None:
        super().__init__(status)
        self._status = status
        self._body = bytes(body)
        self._retry_after = retry_after

    def meaning(self, model_id: str) -> Exception:
        """What it means for a client."""
        try:
            error = orjson.loads(self._body)["error"]
        except (ValueError, TypeError, LookupError):
            error = {}
        return refusal(
            self._status,
            error if isinstance(error, dict) else {},
            model_id,
            retry_after=retry_after_seconds(self._retry_after),
        )


def _vectors(answer: Any, count: int, dimensions: int | None) -> Vectors:
    """Read an answer; TypeError, ValueError or LookupError where it is not as it must be."""
    vectors: list[array[float] | None] = [None] * count
    for row in answer["data"]:
        index = row["index"]
        if index not in range(count) or vectors[int(index)] is not None:
            raise ValueError
        vectors[int(index)] = _floats(row["embedding"])
    whole = [vector for vector in vectors if vector is not None]
    if len(whole) != count or len({len(vector) for vector in whole}) != 1:
        raise ValueError
    if dimensions is not None and len(whole[0]) != dimensions:
        raise ValueError
    usage = answer["usage"]
    tokens = usage["prompt_tokens"]
    if not _is_count(tokens):
        raise ValueError
    return Vectors(whole, int(tokens), whole_cost(usage))


def _floats(embedding: object) -> array[float]:
    """Numbers, or the base64 of 32-bit little-endian floats: not everybody honours the wish."""
    if isinstance(embedding, str):
        try:
            vector = array("f", base64.b64decode(embedding, validate=True))
        except (binascii.Error, struct.error):
            raise ValueError from None
        if sys.byteorder == "big":
            vector.byteswap()
    elif isinstance(embedding, list):
        vector = array("f", embedding)
    else:
        raise TypeError
    if not vector or not all(map(math.isfinite, vector)):
        raise ValueError
    return vector


def _is_count(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 2**53
