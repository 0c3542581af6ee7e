"""OpenRouter's own books: what one generation really cost.

https://openrouter.ai/docs/api-reference/get-a-generation
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import aiohttp
import orjson

from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.catalog.prices import parse_price
from chuk.credits.ports import GenerationCost
from chuk.errors import ProviderError, ProviderTimeout, ServiceUnavailable

_MAX_BODY = 262_144
_MOST_TOKENS = 2**31 - 1


class OpenRouterGenerations:
    """Asks OpenRouter what a request cost.

    Args:
        session: shared; it is not closed here.
        base_url: ends before `/generation`.
        api_key: the key that the request was made with.
        timeout: seconds for one question.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        api_key: str,
        timeout: float = 10.0,
    ) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/generation"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def cost_of(self, generation_id: str) -> GenerationCost | None:
        """Its cost; None while OpenRouter has no record of it, which takes seconds to minutes.

        Raises:
            ProviderTimeout: no answer in time.
            ServiceUnavailable: OpenRouter cannot be reached, or asks us to wait.
            ProviderError: it refused our key, failed, or answered nonsense.
        """
        try:
            async with self._session.get(
                self._url,
                params={"id": generation_id},
                headers=self._headers,
                allow_redirects=False,
                timeout=self._timeout,
            ) as response:
                if response.status == 404:
                    return None
                if response.status != 200:
                    wait = retry_after_seconds(response.headers.get("Retry-After"))
                    raise refusal(response.status, {}, "", retry_after=wait)
                body = await _read(response)
        except TimeoutError:
            raise ProviderTimeout from None
        except aiohttp.ClientError:
            raise ServiceUnavailable from None
        return _cost(body)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY:
            response.close()
            raise ProviderError
    return bytes(body)


def _cost(body: bytes) -> GenerationCost:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ProviderError from None
    data = document.get("data") if isinstance(document, dict) else None
    cost = parse_price(data.get("total_cost")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or cost is None:
        raise ProviderError
    return GenerationCost(
        cost_usd=cost + _own_key_cost(data),
        prompt_tokens=_count(data, "tokens_prompt"),
        completion_tokens=_count(data, "tokens_completion"),
    )


def _own_key_cost(data: Mapping[str, object]) -> Decimal:
    """What the provider itself charges where OpenRouter uses a key of ours at the provider.

    `total_cost` is then only OpenRouter's fee. Without such a key the field repeats the cost.
    """
    if data.get("is_byok") is not True:
        return Decimal(0)
    return parse_price(data.get("upstream_inference_cost")) or Decimal(0)


def _count(data: Mapping[str, object], name: str) -> int:
    """Tokens by the model's own tokenizer, which is what is charged; else OpenRouter's count."""
    for value in (data.get(f"native_{name}"), data.get(name)):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if 0 <= value <= _MOST_TOKENS:
            return int(value)
    return 0
