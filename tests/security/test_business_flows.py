"""API6:2023, unrestricted access to sensitive business flows: what is given away is given once.

Holds, purses, lapses and refunds from all sides at once: tests/contracts; what Stripe's events do
in any order: tests/billing; repeats under a key: tests/api/test_keyed_*.py. Here a cheat talks to
the running server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.api.billing_client import WEBHOOK, bought, status
from tests.conftest import StartServer
from tests.credits.people import receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.stripe import FakeStripe
from tests.harness import MODEL, RunningServer, turn_events
from tests.security.attacks import Told, ask

FREE = 10
CHAT = {"model_id": MODEL, "message": "Hello", "max_tokens": 300}


@pytest.fixture
async def server(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server with nobody's credits, and limits out of reach."""
    async with start_server(
        euros=0,
        CHUK_LIMIT_CHAT="10000",
        CHUK_LIMIT_OTHER="10000",
        CHUK_LIMIT_ADDRESS="10000",
        CHUK_DELETION_INTERVAL="0.05",
    ) as running:
        yield running


async def chat(server: RunningServer, user: UUID, **fields: Any) -> Told:
    """One turn, read to its end."""
    return await ask(server, "POST", "/v1/ai/chat", user, json={**CHAT, **fields})


async def test_thirty_hands_at_once_get_ten_free_messages(server: RunningServer) -> None:
    user = uuid4()

    async def over_a_socket() -> bool:
        async with server.socket(headers=server.bearer(user)) as socket:
            await socket.send_json(CHAT)
            return "done" in (await turn_events(socket))[-1]

    async def over_sse() -> bool:
        return (await chat(server, user)).status == 200

    went = await asyncio.gather(
        *(over_a_socket() for _ in range(15)), *(over_sse() for _ in range(15))
    )
    assert sum(went) == FREE
    told = (await ask(server, "GET", "/v1/user/status", user)).data
    assert (told["free_messages_remaining"], told["free_messages_total"]) == (0, FREE)
    assert (await chat(server, user)).code == "INSUFFICIENT_CREDITS"


async def test_a_free_message_is_not_had_again_by_stopping_it(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = uuid4()
    for _ in range(FREE):
        openrouter.script(Reply(content=["a", "b"], stall_after=1))
        async with server.socket(headers=server.bearer(user)) as socket:
            await socket.send_json(CHAT)
            events: list[Any] = []
            while not any("content" in event for event in events):
                events.append(await socket.receive_json(timeout=30))
            await socket.send_json({"type": "cancel"})
            assert "done" in (await turn_events(socket))[-1]
    assert (await chat(server, user)).code == "INSUFFICIENT_CREDITS"


async def test_deleting_an_account_gives_no_new_free_messages(server: RunningServer) -> None:
    user = uuid4()
    await chat(server, user)
    assert (await ask(server, "DELETE", "/v1/user/delete-account", user)).status == 200
    for _ in range(3):
        assert (await chat(server, user)).code == "FORBIDDEN"


async def test_a_key_is_no_second_account(server: RunningServer) -> None:
    user = uuid4()
    made = await ask(server, "POST", "/v1/user/api-keys", user, json={"name": "ci"})
    header = {"Authorization": f"Bearer {made.data['key']}"}
    statuses = [
        (await ask(server, "POST", "/v1/ai/chat", headers=header, json=CHAT)).status
        for _ in range(FREE + 2)
    ]
    assert statuses.count(200) <= FREE
    assert (await chat(server, user)).code == "INSUFFICIENT_CREDITS" or 200 not in statuses


async def test_one_cent_is_spent_once_however_many_spend_it(server: RunningServer) -> None:
    user = uuid4()
    for _ in range(FREE):
        await chat(server, user)
    cent = 0.01
    await rich(server, cent, user=user)
    answers = await asyncio.gather(*(chat(server, user, max_tokens=100_000) for _ in range(40)))
    assert {answer.status for answer in answers} <= {200, 402}
    paid = [each for each in await receipts_of(server, user) if not each["free_message"]]
    left = (await ask(server, "GET", "/v1/user/status", user)).data["credits_remaining"]
    assert left >= 0
    assert sum(each["charged_eur"] for each in paid) + left == pytest.approx(cent)


@pytest.mark.parametrize("tokens", [0, -1, 1e9, "1e9", 2**63, "0x10", None, True, 0.5])
async def test_no_number_of_tokens_makes_an_answer_cheap(
    server: RunningServer, openrouter: FakeOpenRouter, tokens: Any
) -> None:
    user = await rich(server)
    told = await chat(server, user, max_tokens=tokens)
    if told.status == 200:
        (receipt,) = await receipts_of(server, user)
        assert receipt["charged_eur"] > 0
        assert openrouter.completions[0].body["max_tokens"] >= 1
    else:
        assert (told.status, told.code) == (400, "INVALID_REQUEST")


async def test_one_payment_is_credited_once_and_to_its_payer(start_server: StartServer) -> None:
    payer, thief = UUID(int=11), UUID(int=12)
    async with FakeStripe() as stripe, start_server(euros=0, **stripe.environ()) as server:
        await bought(server, stripe, payer)
        url = f"{server.url}{WEBHOOK}"
        events = list(stripe.account.events.values())
        assert set(await stripe.deliver(url, *events, at_once=True, times=5)) == {200}
        # A copy with another's name in it: what counts is what Stripe says when it is asked.
        forged = [
            {**event, "id": f"evt_forged_{number}"} | {"user_id": str(thief)}
            for number, event in enumerate(events)
        ]
        await stripe.deliver(url, *forged)
        assert (await status(server, payer))["credits_remaining"] == 16.0
        assert (await status(server, thief))["credits_remaining"] == 0.0
        for _ in range(3):
            await ask(server, "POST", "/v1/stripe/sync-subscription", payer)
            await ask(server, "POST", "/v1/stripe/sync-subscription", thief)
        assert (await status(server, payer))["credits_remaining"] == 16.0
        assert (await status(server, thief))["credits_remaining"] == 0.0


async def test_who_has_the_money_back_does_not_keep_the_credits(start_server: StartServer) -> None:
    async with FakeStripe() as stripe, start_server(euros=0, **stripe.environ()) as server:
        subscription = await bought(server, stripe)
        url = f"{server.url}{WEBHOOK}"
        await stripe.deliver(url, *stripe.account.events.values())
        assert (await status(server))["credits_remaining"] == 16.0
        stripe.account.refund(subscription["latest_invoice"], 2_000)
        await stripe.deliver(url, *stripe.account.events.values(), times=2)
        assert (await status(server))["credits_remaining"] == 0.0
