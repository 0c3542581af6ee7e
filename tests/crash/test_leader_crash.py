"""A leader that dies: another process does its jobs, once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from chuk.accounts.issuer import EmbeddedIssuer
from chuk.adapters.redis.leadership import KEY
from chuk.app import embedded_issuer
from chuk.credits.ledger import Outcome
from chuk.settings import load
from tests.crash.books import closed_books, dump, give, open_holds
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.stripe import FakeStripe, Fault
from tests.harness import MODEL, eventually, openrouter_environ
from tests.processes import ServerProcess, log_lines, served
from tests.redis_server import RedisServer

GIVEN = 1_000_000
_PATIENCE = 20.0
QUICKLY = {
    "CHUK_LOG_FORMAT": "json",
    "CHUK_REDIS_TIMEOUT": "5",
    "CHUK_REDIS_LEADER_LEASE": "1",
    "CHUK_CREDITS_HOLD_LEASE": "0.6",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "0.1",
    "CHUK_DELETION_INTERVAL": "0.1",
    "CHUK_DELETION_FIRST_RETRY": "0.2",
    "CHUK_DELETION_LONGEST_RETRY": "0.2",
    "CHUK_DELETION_LEASE": "1",
}


class Cluster:
    """A leader and a follower on one data folder and one Redis, and a client."""

    def __init__(self, folder: Path, redis: RedisServer, environ: Mapping[str, str]) -> None:
        self.data = folder / "data"
        self.client = aiohttp.ClientSession()
        self._folder = folder
        self._redis = redis
        self._environ = {
            "CHUK_DATA_DIR": str(self.data),
            "REDIS_URL": redis.url,
            **QUICKLY,
            **environ,
        }
        self._servers = AsyncExitStack()
        self._lives: list[ServerProcess] = []

    async def start(self) -> None:
        """First the one that will lead, then the one that will follow."""
        for _ in range(2):
            server = await self._servers.enter_async_context(served(self._folder, self._environ))
            await server.well(self.client)
            self._lives.append(server)
        self._first_holder = self.holder()

    async def close(self) -> None:
        """Kill whoever lives."""
        await self._servers.aclose()
        await self.client.close()

    @property
    def leader(self) -> ServerProcess:
        return self._lives[0]

    @property
    def follower(self) -> ServerProcess:
        return self._lives[1]

    def holder(self) -> bytes:
        """Who has the lease."""
        with self._redis.client() as client:
            holder = client.get(KEY)
        assert holder is None or isinstance(holder, bytes)
        return holder or b""

    def has_new_leader(self) -> bool:
        """Whether the lease has passed on."""
        return self.holder() not in (b"", self._first_holder)

    def bearer(self, user: UUID) -> dict[str, str]:
        """The header that signs a user in, at either."""
        issuer = embedded_issuer(load(self._environ, directory=self._folder))
        assert isinstance(issuer, EmbeddedIssuer)
        return {"Authorization": f"Bearer {issuer.token(user)}"}

    async def kill_leader(self) -> None:
        """As the machine's power failure would, and wait for the other to take over."""
        await self.leader.stop(signal.SIGKILL)
        await eventually(self.has_new_leader, timeout=_PATIENCE)

    async def lines_of_follower(self) -> list[dict[str, Any]]:
        """End it well; what it had to say."""
        finished = await self.follower.stop(signal.SIGTERM)
        assert finished.code == 0, finished
        return log_lines(finished.err)


@pytest.fixture
async def cluster(
    tmp_path: Path, redis_server: RedisServer, openrouter: FakeOpenRouter, stripe: FakeStripe
) -> AsyncIterator[Cluster]:
    """A leader and a follower, running."""
    environ = {**openrouter_environ(openrouter), **stripe.environ()}
    cluster = Cluster(tmp_path, redis_server, environ)
    try:
        await cluster.start()
        yield cluster
    finally:
        await cluster.close()


async def test_a_hold_of_a_leader_that_died_is_ended_once_by_the_other(
    cluster: Cluster, openrouter: FakeOpenRouter
) -> None:
    user = uuid4()
    await give(cluster.data, user, GIVEN)
    openrouter.script(Reply(content=["word "] * 20, stall_after=10))
    response = await cluster.client.post(
        f"{cluster.leader.url}/v1/ai/chat",
        json={"model_id": MODEL, "message": "Hello", "max_tokens": 500},
        headers=cluster.bearer(user),
    )
    async for data in response.content.iter_any():
        if b"content" in data:
            break
    assert open_holds(cluster.data, user) == 1
    await cluster.kill_leader()
    response.close()
    account = await closed_books(cluster.data, user)
    (receipt,) = account.receipts
    assert receipt.usage.outcome in (Outcome.INTERRUPTED, Outcome.FAILED)
    assert account.purse.available == GIVEN - receipt.charged
    said = [line["event"] for line in await cluster.lines_of_follower()]
    assert said.index("leads") < said.index("orphans_reconciled")
    assert said.count("orphans_reconciled") == 1


async def test_a_deletion_of_a_leader_that_died_is_finished_once_by_the_other(
    cluster: Cluster, stripe: FakeStripe
) -> None:
    user = uuid4()
    headers = cluster.bearer(user)
    async with cluster.client.post(
        f"{cluster.leader.url}/v1/stripe/create-checkout-session", headers=headers
    ) as response:
        assert response.status == 200, await response.text()
    assert len(stripe.account.customers) == 1
    stripe.fail(Fault.BROKEN, "/v1/customers", method="DELETE", times=None)
    async with cluster.client.delete(
        f"{cluster.leader.url}/v1/user/delete-account", headers=headers
    ) as response:
        assert response.status == 200
        assert "subscription" in (await response.json())["data"]["pending"]
    await cluster.kill_leader()
    assert is_known(cluster.data, user)
    stripe.mend()
    before = len(stripe.calls)
    await eventually(lambda: not is_known(cluster.data, user), timeout=_PATIENCE)
    assert all(customer["deleted"] for customer in stripe.account.customers.values())
    assert [call.method for call in stripe.calls[before:]].count("DELETE") == 1
    said = [line["event"] for line in await cluster.lines_of_follower()]
    assert said.count("account_erased") == 1


def is_known(data: Path, user: UUID) -> bool:
    """Whether any table still names the user."""
    return user.hex.upper() in dump(data).upper()
