"""Images of fal's models, over its queue: submit once, ask until it is done, fetch, keep.

https://fal.ai/docs/documentation/model-apis/inference/queue
https://fal.ai/docs/documentation/model-apis/errors

fal keeps a picture at a public address for as long as `X-Fal-Object-Lifecycle-Preference` says,
else as the account says, which may be less than what we promise; some are larger than we promise,
too. So the picture is fetched at once and served by this server, and fal is told to drop its own
after an hour and to keep no record of the prompt (`X-Fal-Store-IO`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from chuk.adapters.children import RunOnce
from chuk.adapters.fal_answers import Answer, inline_picture, refused, whole
from chuk.adapters.public_address import is_public
from chuk.adapters.refit import refitted
from chuk.errors import (
    ChukError,
    ContentFiltered,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
)
from chuk.logs import logger
from chuk.media.pictures import MAX_BYTES, kind_of
from chuk.media.ports import Commission, Painting

_log = logger("fal")
_MAX_ANSWER = 262_144
_MAX_INLINE_ANSWER = 8_000_000
_MAX_PICTURE = 32_000_000
_REQUEST_TIMEOUT = 30.0
_CANCEL_TIMEOUT = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE, _PAUSE_GROWTH = 0.25, 2.0, 1.3
# How often in a row a question that may be repeated is asked in vain.
_ATTEMPTS = 4
_UPSTREAM_KEEPS = 3_600
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_WAITING = frozenset({"IN_QUEUE", "IN_PROGRESS"})


@dataclass(frozen=True, slots=True)
class _Job:
    """Where a submitted request is asked for, fetched and cancelled."""

    status_url: str
    response_url: str
    cancel_url: str


class Fal:
    """One model of fal. It sets no limit to the whole; whoever is cancelled cancels upstream.

    Args:
        session: shared; it is not closed here.
        queue_url: base URL of the queue.
        model: fal's endpoint, such as `fal-ai/z-image/turbo`.
        start_within: seconds after which fal does not begin any more.
        sleep: how it waits between two questions.
    """

    provider_slug = "fal"
    is_zdr = False

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        key: str,
        queue_url: str,
        model: str,
        start_within: float,
        run_once: RunOnce,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.model_id = model
        self._session = session
        self._base = queue_url.rstrip("/")
        self._headers = {"Authorization": f"Key {key}", "Accept": "application/json"}
        self._start_within = start_within
        self._run_once = run_once
        self._sleep = sleep
        self._afterwards: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait until what was left behind is cancelled upstream, half a minute at most."""
        if self._afterwards:
            await asyncio.wait(self._afterwards)

    async def paint(self, commission: Commission) -> Painting:
        """See `Painter.paint`."""
        job = await self._submitted(commission)
        try:
            await self._completed(job)
        except BaseException:
            self._in_background(self._cancel(job))
            raise
        result = await self._result(job)
        data, width, height = await self._picture(result)
        kind = kind_of(data)
        if kind is None or len(data) > MAX_BYTES or (width, height) != _size(commission):
            data, kind = await refitted(
                data,
                width=commission.width,
                height=commission.height,
                run_once=self._run_once,
            )
        return Painting(data, kind, whole(result.get("seed"), commission.seed))

    # Submitting: never twice, whatever happens to the answer.

    async def _submitted(self, commission: Commission) -> _Job:
        """Submit, and see to it that what nobody waits for any more is cancelled."""
        submitting = asyncio.create_task(self._submit(commission))
        try:
            return await asyncio.shield(submitting)
        except asyncio.CancelledError:
            # It may have arrived: only its answer says how to cancel it.
            self._in_background(self._cancel_when_known(submitting))
            raise

    async def _submit(self, commission: Commission) -> _Job:
        body = {
            "prompt": commission.prompt,
            "image_size": {"width": commission.width, "height": commission.height},
            "seed": commission.seed,
            "num_images": 1,
            "enable_safety_checker": True,
            "output_format": "jpeg",
        }
        headers = {
            "Content-Type": "application/json",
            "X-Fal-Store-IO": "0",
            # Whatever becomes of us, nothing is begun that nobody waits for.
            "X-Fal-Request-Timeout": f"{self._start_within:g}",
            "X-Fal-Object-Lifecycle-Preference": orjson.dumps(
                {"expiration_duration_seconds": _UPSTREAM_KEEPS}
            ).decode(),
        }
        url = f"{self._base}/{self.model_id}"
        answer = await self._call("POST", url, data=orjson.dumps(body), headers=headers)
        if answer.status not in (200, 201, 202):
            raise refused("submit", answer, self.model_id)
        return self._job(answer.json())

    def _job(self, submitted: dict[str, Any]) -> _Job:
        """fal's own addresses; where they are not at the queue we know, the documented ones.

        They are called with our key, so an answer must not send it anywhere else.
        """
        request_id = submitted.get("request_id")
        if not isinstance(request_id, str) or not _ID.fullmatch(request_id):
            raise ProviderError
        # Of a model's path only owner and name stand before its requests.
        app = "/".join(self.model_id.split("/")[:2])
        request = f"{self._base}/{app}/requests/{request_id}"

        def address(name: str, documented: str) -> str:
            given = submitted.get(name)
            return given if isinstance(given, str) and self._is_queue(given) else documented

        return _Job(
            address("status_url", f"{request}/status"),
            address("response_url", request),
            address("cancel_url", f"{request}/cancel"),
        )

    def _is_queue(self, url: str) -> bool:
        try:
            given, own = urlsplit(url), urlsplit(self._base)
        except ValueError:
            return False
        return (given.scheme, given.netloc) == (own.scheme, own.netloc)

    # Waiting and fetching: questions that may be repeated.

    async def _completed(self, job: _Job) -> None:
        """Ask until it is done, well or badly, with pauses that grow."""
        pause = _FIRST_PAUSE
        while True:
            answer = await self._asked("status", job.status_url)
            status = answer.json().get("status")
            if status == "COMPLETED":
                return
            if status not in _WAITING:
                raise ProviderError
            await self._sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)

    async def _result(self, job: _Job) -> dict[str, Any]:
        answer = await self._asked("result", job.response_url, limit=_MAX_INLINE_ANSWER)
        result = answer.json()
        flags = result.get("has_nsfw_concepts")
        if isinstance(flags, list) and any(flag is True for flag in flags):
            raise ContentFiltered
        return result

    async def _picture(self, result: dict[str, Any]) -> tuple[bytes, int, int]:
        """The first picture's bytes, and its size as fal says it; 0 where it does not."""
        images = result.get("images")
        image = images[0] if isinstance(images, list) and images else None
        url = image.get("url") if isinstance(image, dict) else None
        if not isinstance(image, dict) or not isinstance(url, str):
            raise ProviderError
        if url.startswith("data:"):
            data = inline_picture(url)
        else:
            data = await self._download(url)
        return data, whole(image.get("width"), 0), whole(image.get("height"), 0)

    async def _download(self, url: str) -> bytes:
        """Fetch a picture from fal's public store, without our key."""
        if not self._is_queue(url) and not await is_public(url):
            raise ProviderError
        answer = await self._asked("download", url, limit=_MAX_PICTURE, headers={})
        return answer.body

    async def _asked(
        self,
        step: str,
        url: str,
        *,
        limit: int = _MAX_ANSWER,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET, again where fal stumbles."""
        pause = _FIRST_PAUSE
        for attempt in range(1, _ATTEMPTS + 1):
            is_last = attempt == _ATTEMPTS
            try:
                answer = await self._call("GET", url, limit=limit, headers=headers)
            except ChukError:
                if is_last:
                    raise
            else:
                if answer.status in (200, 202):
                    return answer
                # What a model failed with is its result: it is the same the next time.
                stumbles = answer.status == 429 or (answer.status >= 500 and step != "result")
                if is_last or not stumbles:
                    raise refused(step, answer, self.model_id)
            await self._sleep(pause)
            pause *= 2
        raise ProviderError

    # Leaving.

    async def _cancel_when_known(self, submitting: asyncio.Task[_Job]) -> None:
        try:
            job = await submitting
        except ChukError as error:
            _log.warning("submission_left", error=error.code)
        else:
            await self._cancel(job)

    async def _cancel(self, job: _Job) -> None:
        """Ask fal to stop. It answers 400 where it has finished already."""
        try:
            async with asyncio.timeout(_CANCEL_TIMEOUT):
                answer = await self._call("PUT", job.cancel_url)
        except (ChukError, TimeoutError) as error:
            _log.warning("not_cancelled", error=type(error).__name__)
        else:
            if answer.status not in (200, 202, 400, 404):
                _log.warning("not_cancelled", status=answer.status)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="fal cancellation")
        self._afterwards.add(task)
        task.add_done_callback(self._afterwards.discard)

    # The wire.

    async def _call(
        self,
        method: str,
        url: str,
        *,
        data: bytes | None = None,
        limit: int = _MAX_ANSWER,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, as it is. With `headers` empty it carries no key.

        Raises:
            ServiceUnavailable: fal cannot be reached.
            ProviderTimeout: no answer in time.
            ProviderError: the connection broke, or the answer is too long.
        """
        own = self._headers if headers is None or data is not None else {}
        try:
            async with self._session.request(
                method,
                url,
                data=data,
                headers={**own, **(headers or {})},
                # Our key goes nowhere but to the queue, and we to no address not looked at.
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT),
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > limit:
                        response.close()
                        raise ProviderError
                return Answer(response.status, response.headers, bytes(body))
        except TimeoutError:
            raise ProviderTimeout from None
        except aiohttp.ClientConnectorError:
            raise ServiceUnavailable from None
        except (aiohttp.ClientError, ValueError):
            raise ProviderError from None


def _size(commission: Commission) -> tuple[int, int]:
    return commission.width, commission.height
