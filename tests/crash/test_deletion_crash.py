"""A deletion that the server does not survive: locked from its record on, and erased in the end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.crash.books import closed_books, dump, give, ledger_of
from tests.crash.servers import Mortal, die_at_every_commit
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, eventually, openrouter_environ

QUICKLY = {
    "CHUK_DELETION_INTERVAL": "0.1",
    "CHUK_DELETION_FIRST_RETRY": "0.1",
    "CHUK_DELETION_LEASE": "1",
    "CHUK_CREDITS_HOLD_LEASE": "0.6",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "0.2",
    "CHUK_LIMIT_OTHER": "100000",
}
_PATIENCE = 20.0


class Leaving:
    """A user with a history who asks to be forgotten."""

    def __init__(self, server: Mortal) -> None:
        self._server = server
        self._user = UUID(int=0)
        self._headers: dict[str, str] = {}

    async def arrive(self) -> None:
        """A new user, with credits and a receipt."""
        self._user = uuid4()
        self._headers = self._server.bearer(self._user)
        await give(self._server.data, self._user, 1_000_000)
        async with self._server.client.post(
            f"{self._server.url}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello", "max_tokens": 500},
            headers=self._headers,
        ) as response:
            assert response.status == 200, await response.text()
            await response.read()
        await closed_books(self._server.data, self._user)

    async def play(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            while await self._pending():
                pass

    async def check(self, moment: str, number: int) -> None:
        is_recorded = (moment, number) != ("before", 1)
        assert await self._status() == (403 if is_recorded else 200)
        # Nobody has to ask again, once it is recorded.
        if not is_recorded:
            await self._pending()
        await eventually(
            lambda: self._user.hex.upper() not in dump(self._server.data).upper(),
            timeout=_PATIENCE,
        )
        assert await self._pending() == []
        assert await self._status() == 403
        async with ledger_of(self._server.data) as ledger:
            assert await ledger.verify() == []
        await self.arrive()

    async def _pending(self) -> list[str]:
        async with self._server.client.delete(
            f"{self._server.url}/v1/user/delete-account", headers=self._headers
        ) as response:
            assert response.status == 200, await response.text()
            body = await response.json()
        assert body["data"]["deleted"] is True
        pending: list[str] = body["data"]["pending"]
        return pending

    async def _status(self) -> int:
        async with self._server.client.get(
            f"{self._server.url}/v1/user/status", headers=self._headers
        ) as response:
            return response.status


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=pytest.mark.slow)])
async def test_a_deletion_is_finished_at_whatever_commit_the_server_dies(
    openrouter: FakeOpenRouter, tmp_path: Path, moment: str
) -> None:
    async with Mortal(tmp_path, {**openrouter_environ(openrouter), **QUICKLY}) as server:
        leaving = Leaving(server)
        await leaving.arrive()
        # Its record, the lease, each step and its mark, the end.
        assert await die_at_every_commit(server, leaving, moment) >= 5
