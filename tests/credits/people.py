"""People who talk to a running server: what they have, and what it went for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from chuk.api.keys import LEDGER
from chuk.credits.money import MicroEuro
from chuk.web.envelope import Profile
from tests.harness import RunningServer


async def rich(server: RunningServer, euros: float = 10.0, user: UUID | None = None) -> UUID:
    """Somebody with credits."""
    user = user or uuid4()
    amount = MicroEuro(round(euros * 1_000_000))
    assert await server.app[LEDGER].grant(user, amount, f"gift:{user}")
    return user


async def ask(
    server: RunningServer,
    user: UUID,
    path: str,
    *,
    method: str = "GET",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Any:
    """The bare answer to a signed-in person."""
    own = {**server.bearer(user), "Accept": Profile.BARE.content_type, **(headers or {})}
    async with server.client.request(
        method, f"{server.url}{path}", headers=own, **options
    ) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def receipts_of(server: RunningServer, user: UUID) -> list[Any]:
    """The newest receipts of somebody."""
    page = await ask(server, user, "/v1/user/usage")
    found: list[Any] = page["receipts"]
    return found
