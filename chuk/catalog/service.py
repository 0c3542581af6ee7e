"""The model list that this server offers: fetched, refreshed, and never given up for nothing.

The list in memory serves every request. A background task replaces it; when the source fails, or
has nothing to offer, the last known list goes on serving, across restarts too. What comes from
disk passes the present allow and block lists again, so that a provider blocked in between is
gone at once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from chuk.catalog.models import Model
from chuk.catalog.ports import CatalogUnavailable, KeptList, ModelSource, PartlyUnavailable
from chuk.catalog.selection import Selection
from chuk.catalog.wire import encode_models
from chuk.errors import ModelNotFound, ServiceUnavailable

_FIRST_RETRY = 1.0
_NO_LIST = "The list of models is not available yet. Please try again in a moment."

_log = structlog.get_logger(part="catalog")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """One list in all its forms. `known` is as the source said, `models` as clients see it."""

    known: tuple[Model, ...]
    models: tuple[Model, ...]
    by_id: Mapping[str, Model]
    json: bytes
    version: str


class Catalog:
    """What can be chatted with, always from memory.

    Args:
        source: where the models come from.
        store: the last known good list on disk; None keeps nothing.
        selection: the allow list, the block lists and the overrides.
        refresh_interval: seconds between refreshes, and the longest wait after a failure.
        sleep: how the background task waits.

    Attributes:
        failed_refreshes: how many refreshes failed since the start.
        refreshed_at: when the source last gave its whole list, by a clock that only counts
            seconds (`time.monotonic`); None: not since the start.
    """

    def __init__(
        self,
        source: ModelSource,
        *,
        store: KeptList | None = None,
        selection: Selection | None = None,
        refresh_interval: float = 600.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.failed_refreshes = 0
        self.refreshed_at: float | None = None
        self._source = source
        self._store = store
        self._selection = selection or Selection()
        self._interval = refresh_interval
        self._sleep = sleep
        self._snapshot: _Snapshot | None = None
        self._saved_version = ""
        self._fetched: Sequence[Model] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._refreshed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the last known list, then keep it fresh in the background. Does not wait for it."""
        if self._store is not None:
            saved = await self._store.load()
            if saved is not None:
                await self._install(saved, whence="disk")
        self._task = asyncio.create_task(self._keep_fresh(), name="catalog")

    async def close(self) -> None:
        """Stop refreshing. The list goes on serving."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model, by id; empty before the first list."""
        return self._snapshot.models if self._snapshot else ()

    @property
    def is_loaded(self) -> bool:
        """Whether there is a list to serve."""
        return self._snapshot is not None

    @property
    def version(self) -> str:
        """Changes exactly when the list's content does; fit for an ETag. Empty before the first."""
        return self._snapshot.version if self._snapshot else ""

    def model(self, model_id: str) -> Model:
        """The model with this id.

        Raises:
            ModelNotFound: it is not offered.
            ServiceUnavailable: there was never a list.
        """
        snapshot = self._require()
        found = snapshot.by_id.get(model_id)
        if found is None:
            raise ModelNotFound(model_id)
        return found

    def may_see(self, model_id: str) -> bool:
        """Whether pictures may matter to this model; so for one that is not known (yet), too."""
        found = None if self._snapshot is None else self._snapshot.by_id.get(model_id)
        return found is None or found.supports_vision

    def json(self) -> bytes:
        """The list of contract §7, a JSON array as UTF-8, made once for each change.

        Raises:
            ServiceUnavailable: there was never a list.
        """
        return self._require().json

    async def refreshed(self) -> None:
        """Wait until the source has given its list once since the start."""
        await self._refreshed.wait()

    async def refresh(self) -> None:
        """Ask the source now; the last known list stays when it fails.

        Raises:
            CatalogUnavailable: the source failed, in part or as a whole, or offers nothing that is
            allowed here.
        """
        async with self._one_at_a_time:
            known = self._snapshot.known if self._snapshot else ()
            try:
                await self._take(await self._source.fetch(known))
                self.refreshed_at = time.monotonic()
            except CatalogUnavailable as error:
                if isinstance(error, PartlyUnavailable):
                    await self._take(error.models)
                self.failed_refreshes += 1
                _log.warning(
                    "catalog_refresh_failed",
                    reason=str(error),
                    failed_refreshes=self.failed_refreshes,
                    models_kept=len(self.models),
                )
                raise

    async def _take(self, models: Sequence[Model]) -> None:
        if models is not self._fetched:
            await self._install(models, whence="source")
            self._fetched = models
        self._refreshed.set()
        await self._save()

    async def _keep_fresh(self) -> None:
        wait = 0.0
        retry = _FIRST_RETRY
        while True:
            if wait:
                await self._sleep(wait)
            try:
                await self.refresh()
            except CatalogUnavailable:
                wait, retry = min(retry, self._interval), min(retry * 2, self._interval)
            except Exception as error:
                # A defect in a source must not end the refreshing for good, nor be hidden.
                self.failed_refreshes += 1
                _log.error("catalog_refresh_broken", error=type(error).__name__)
                wait, retry = min(retry, self._interval), min(retry * 2, self._interval)
            else:
                wait, retry = self._interval, _FIRST_RETRY

    async def _install(self, models: Sequence[Model], *, whence: str) -> None:
        snapshot = await asyncio.to_thread(_snapshot, models, self._selection)
        if not snapshot.models:
            if whence == "disk":
                return
            raise CatalogUnavailable("no model is left after the allow and block lists")
        if snapshot.version != self.version:
            _log.info(
                "catalog_changed",
                whence=whence,
                models=len(snapshot.models),
                providers=sum(len(model.providers) for model in snapshot.models),
            )
        self._snapshot = snapshot

    async def _save(self) -> None:
        snapshot = self._snapshot
        if self._store is None or snapshot is None or snapshot.version == self._saved_version:
            return
        if await self._store.save(snapshot.known):
            self._saved_version = snapshot.version

    def _require(self) -> _Snapshot:
        if self._snapshot is None:
            raise ServiceUnavailable(_NO_LIST)
        return self._snapshot


def _snapshot(models: Sequence[Model], selection: Selection) -> _Snapshot:
    """Restrict, order and encode a list. Runs in a thread: hundreds of models take a while."""
    by_id = {model.id: model for model in selection.restrict(models)}
    known = tuple(by_id[model_id] for model_id in sorted(by_id))
    shown = tuple(selection.dress(model) for model in known)
    json = encode_models(shown)
    return _Snapshot(
        known=known,
        models=shown,
        by_id={model.id: model for model in shown},
        json=json,
        version=hashlib.sha256(json).hexdigest()[:32],
    )
