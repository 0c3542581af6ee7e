"""OpenRouter as the source of the model list: only endpoints that keep no data.

Three kinds of answers make one list: `/models` says what a model is, `/endpoints/zdr` which
endpoints keep nothing, and each model's own page what its endpoints cost. An endpoint gets in
only when its exact (model, tag) is on the ZDR list of the same fetch.

https://openrouter.ai/docs/features/zdr
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
import orjson
import structlog

from chuk.adapters.openrouter_rows import (
    Listed,
    Skipped,
    ZdrList,
    chat_models,
    data_rows,
    providers,
    zdr_list,
)
from chuk.catalog.models import Model
from chuk.catalog.ports import CatalogUnavailable
from chuk.catalog.selection import Selection

_log = structlog.get_logger(part="catalog")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a fetch may take. Times are seconds, sizes bytes after decompression.

    Attributes:
        call: each call, to its last byte.
        pages: all models' own pages together; what is missing then counts as failed.
        list_bytes, page_bytes: the largest body of a list and of a model's page.
        pages_at_once: calls for pages side by side.
    """

    call: float = 10.0
    pages: float = 120.0
    list_bytes: int = 32 * 2**20
    page_bytes: int = 4 * 2**20
    pages_at_once: int = 8


@dataclass(slots=True)
class FetchReport:
    """What the last fetch left out: rows by reason, and how many models' pages failed."""

    skipped: Skipped = field(default_factory=Counter)
    pages_failed: int = 0


class OpenRouterModels:
    """The models of OpenRouter that may be offered here.

    Args:
        session: shared; it is not closed here.
        base_url: ends before `/models`.
        api_key: OpenRouter's bearer key.
        selection: which models and providers are allowed.

    Attributes:
        report: what the last fetch left out.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        base_url: str,
        api_key: str,
        selection: Selection | None = None,
        limits: FetchLimits | None = None,
    ) -> None:
        self.report = FetchReport()
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._selection = selection or Selection()
        self._limits = limits or FetchLimits()

    async def fetch(self, known: Sequence[Model]) -> Sequence[Model]:
        """Every allowed model with at least one allowed ZDR provider.

        A model whose page cannot be had keeps its entry from `known`, restricted to the present
        ZDR list and block list; one that is not known is read from its rows on the ZDR list.

        Raises:
            CatalogUnavailable: a list could not be had, was empty, or left nothing.
        """
        report = FetchReport()
        self.report = report
        zdr_body = await self._get("/endpoints/zdr", self._limits.list_bytes)
        models_body = await self._get("/models", self._limits.list_bytes)
        wanted, zdr = await asyncio.to_thread(
            self._read_lists, models_body, zdr_body, report.skipped
        )
        known_by_id = {model.id: model for model in known}
        deadline = asyncio.get_running_loop().time() + self._limits.pages
        turn = asyncio.Semaphore(self._limits.pages_at_once)

        async def one(listed: Listed) -> Model | None:
            async with turn:
                return await self._model(listed, zdr, known_by_id, deadline, report)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(listed)) for listed in wanted]
        models = [model for task in tasks if (model := task.result()) is not None]
        _log.log(
            logging.WARNING if report.pages_failed else logging.INFO,
            "catalog_fetched",
            models=len(models),
            pages_failed=report.pages_failed,
            skipped=dict(report.skipped),
        )
        if not models:
            raise CatalogUnavailable("no model is left after the ZDR list")
        return models

    def _read_lists(
        self, models_body: bytes, zdr_body: bytes, skipped: Skipped
    ) -> tuple[list[Listed], ZdrList]:
        """Which models' pages to ask for. Runs in a thread: the bodies hold thousands of rows."""
        listed = chat_models(_rows(models_body, "/models"), skipped)
        zdr = zdr_list(_rows(zdr_body, "/endpoints/zdr"), listed, skipped)
        wanted = [
            model
            for model in listed.values()
            if model.id in zdr.rows and self._may_offer(model, zdr)
        ]
        return wanted, zdr

    def _may_offer(self, model: Listed, zdr: ZdrList) -> bool:
        return self._selection.allows(model.id) and any(
            self._selection.allows_provider(row["tag"]) for row in zdr.of(model.id)
        )

    async def _model(
        self,
        listed: Listed,
        zdr: ZdrList,
        known: Mapping[str, Model],
        deadline: float,
        report: FetchReport,
    ) -> Model | None:
        try:
            if asyncio.get_running_loop().time() >= deadline:
                raise CatalogUnavailable("no time left for the pages")
            body = await self._get(f"/models/{listed.id}/endpoints", self._limits.page_bytes)
            model, skipped = await asyncio.to_thread(self._read_page, body, listed, zdr)
            report.skipped.update(skipped)
            return model
        except CatalogUnavailable as error:
            report.pages_failed += 1
            _log.debug("catalog_page_failed", model=listed.id, reason=str(error))
        if listed.id in known:
            return self._still_allowed(known[listed.id], zdr)
        rows = zdr.of(listed.id)
        return listed.with_providers(providers(rows, listed, zdr, self._selection, report.skipped))

    def _read_page(self, body: bytes, listed: Listed, zdr: ZdrList) -> tuple[Model | None, Skipped]:
        """The model of a page. Runs in a thread, so it counts into a counter of its own."""
        skipped: Skipped = Counter()
        rows = data_rows(_parsed(body, "page"), inside="endpoints")
        if rows is None:
            raise CatalogUnavailable("page: not a list of endpoints")
        offered = providers(rows, listed, zdr, self._selection, skipped)
        return listed.with_providers(offered), skipped

    def _still_allowed(self, model: Model, zdr: ZdrList) -> Model | None:
        allowed = tuple(each for each in model.providers if zdr.allows(model.id, each.slug))
        left = self._selection.restrict([dataclasses.replace(model, providers=allowed)])
        return left[0] if left else None

    async def _get(self, path: str, most: int) -> bytes:
        """The body of a 200.

        Raises:
            CatalogUnavailable: anything else, also a body of more than `most` bytes.
        """
        try:
            async with self._session.get(
                self._base_url + path,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._limits.call),
            ) as response:
                if response.status != 200:
                    raise CatalogUnavailable(f"GET {path}: status {response.status}")
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > most:
                        response.close()
                        raise CatalogUnavailable(f"GET {path}: more than {most} bytes")
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CatalogUnavailable(f"GET {path}: {type(error).__name__}") from None


def _rows(body: bytes, path: str) -> Iterable[object]:
    rows = data_rows(_parsed(body, f"GET {path}"))
    if rows is None:
        raise CatalogUnavailable(f"GET {path}: not a list")
    if not rows:
        raise CatalogUnavailable(f"GET {path}: an empty list")
    return rows


def _parsed(body: bytes, what: str) -> object:
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CatalogUnavailable(f"{what}: not JSON") from None
    return document
