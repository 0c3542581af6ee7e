"""This server, with its books or without, so that what keeping them costs can be seen.

    python -m benchmark.server [--unbilled]

Both are the application that `chuk serve` runs. Unbilled, its turns are not estimated, nothing is
held, noted or settled; that one object is the whole difference.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import uvloop
from aiohttp import web

from chuk import logs
from chuk.accounts.principal import Principal
from chuk.api.keys import TURNS
from chuk.app import build_app
from chuk.chat.books import TurnBooks, TurnFacts, TurnReceipt, nothing_taken
from chuk.chat.command import CompletionRequest
from chuk.chat.resolution import Resolution
from chuk.chat.turn import Turns
from chuk.credits.ledger import Outcome
from chuk.listening import listening_socket
from chuk.memory import calm_memory
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


class _UnbilledTurns(Turns):
    """Turns that nobody pays for."""

    def _new_books(self, principal: Principal) -> TurnBooks:
        return _NoBooks(self._credit_service)


async def _serve(settings: Settings, *, unbilled: bool) -> None:
    app = await build_app(settings)
    if unbilled:
        # Made with all the rest; only whose books it opens is another's.
        app[TURNS].__class__ = _UnbilledTurns
    runner = make_runner(app)
    await runner.setup()
    await web.SockSite(runner, listening_socket(settings), backlog=2048).start()
    calm_memory()
    await asyncio.Event().wait()


if __name__ == "__main__":
    found = load()
    logs.configure(level=found.log.level, json=True)
    uvloop.run(_serve(found, unbilled="--unbilled" in sys.argv))
