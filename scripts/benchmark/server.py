"""This server, with its books or without, so that what keeping them costs can be seen.

    python -m benchmark.server [--unbilled]

Both are the application that `chuk serve` runs. Unbilled, its turns are not estimated, nothing is
held, noted or settled; that one object is the whole difference.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import aiohttp
import uvloop
from aiohttp import web

from chuk import logs
from chuk.accounts.principal import Principal
from chuk.adapters.push_client import PushClient
from chuk.api.keys import CATALOG, CREDITS, TURNS
from chuk.app import build_app
from chuk.app.models import choose_models
from chuk.catalog.service import Catalog
from chuk.chat.books import TurnBooks, TurnFacts, TurnReceipt, nothing_taken
from chuk.chat.command import ChatCommand, CompletionRequest
from chuk.chat.generation import Generation, Patience
from chuk.chat.ports import Subscriber, Upstream
from chuk.chat.resolution import Resolution, resolve
from chuk.chat.turn import Turns
from chuk.credits.ledger import Outcome
from chuk.credits.service import Credits
from chuk.listening import listening_socket
from chuk.runner import make_runner
from chuk.settings import Settings, load


class _NoBooks(TurnBooks):
    """The books of a turn that nobody pays for."""

    async def open(
        self,
        resolution: Resolution,
        stream_id: str,
        user_id: UUID,
        tags: Mapping[str, str] | None = None,
    ) -> CompletionRequest:
        """Hold nothing."""
        return resolution.request

    def note(self, now: float, **_known: Any) -> None:
        """Keep nothing."""

    async def close(self, outcome: Outcome, facts: TurnFacts) -> TurnReceipt:
        """Take nothing; the receipt still says how long the answer was."""
        return replace(
            nothing_taken(facts.provider),
            prompt_tokens=facts.prompt_tokens,
            completion_tokens=facts.completion_tokens,
            total_tokens=facts.total_tokens,
        )


class _UnbilledTurns:
    """As much of `Turns` as a benchmark asks for."""

    def __init__(
        self, catalog: Catalog, upstream: Upstream, patience: Patience, service: Credits
    ) -> None:
        self._catalog = catalog
        self._upstream = upstream
        self._patience = patience
        self._service = service
        self._running: dict[str, Generation] = {}

    def start(
        self, principal: Principal, command: ChatCommand, subscriber: Subscriber
    ) -> Generation:
        """Begin a turn; see `Turns`."""
        resolution = resolve(command, self._catalog.model(command.model_id))
        generation = Generation(
            owner=principal.user_id,
            resolution=resolution,
            tags=command.tags,
            upstream=self._upstream,
            books=_NoBooks(self._service),
            patience=self._patience,
        )
        self._running[generation.id] = generation
        task = generation.begin(subscriber)
        task.add_done_callback(lambda _: self._running.pop(generation.id))
        return generation


async def _serve(settings: Settings, *, unbilled: bool) -> None:
    app = await build_app(settings)
    if unbilled:
        app[TURNS] = cast("Turns", _unbilled_turns(app, settings))
    runner = make_runner(app)
    await runner.setup()
    await web.SockSite(runner, listening_socket(settings), backlog=2048).start()
    calm_garbage_collector()
    await asyncio.Event().wait()


def _unbilled_turns(app: web.Application, settings: Settings) -> _UnbilledTurns:
    upstream = settings.upstream
    push = PushClient(
        connect_timeout=upstream.connect_timeout,
        most_connections=upstream.connections,
        user_agent="benchmark",
    )
    return _UnbilledTurns(
        app[CATALOG],
        choose_models(settings, aiohttp.ClientSession(), push).upstream,
        Patience(
            first_byte=upstream.first_byte_timeout,
            between_reads=upstream.read_timeout,
            silence=settings.chat.silence_interval,
        ),
        app[CREDITS],
    )


def calm_garbage_collector() -> None:
    """As `chuk serve` does once it listens."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)


if __name__ == "__main__":
    found = load()
    logs.configure(level=found.log.level, json=True)
    uvloop.run(_serve(found, unbilled="--unbilled" in sys.argv))
