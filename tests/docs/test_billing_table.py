"""What docs/billing.md says a stop, a lost connection or a failure costs: proven by real turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from chuk.api.keys import CREDITS, TURNS
from chuk.catalog.models import Pricing
from chuk.chat.token_estimate import cautious_prompt_tokens, text_tokens
from chuk.credits.estimate import Estimate
from chuk.credits.money import MicroEuro
from chuk.credits.pricing import PriceList, tokens_usd
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer

TEXT = (Path(__file__).parents[2] / "docs/billing.md").read_text("utf-8")
WORDS = ["Hel", "lo", " again"]
BODY = {"model_id": MODEL, "message": "Hello", "provider_slug": "groq", "max_tokens": 500}

STALLING = Reply(content=WORDS, stall_after=1)
BEGUN = Reply(content=["", *WORDS], stall_after=1)


@dataclass
class Turn:
    """One turn of somebody, and what it is to go through."""

    server: RunningServer
    openrouter: FakeOpenRouter
    user: UUID

    async def whole(self) -> None:
        """Ask over SSE and read whatever comes, to its end."""
        async with self.server.client.post(
            f"{self.server.url}/v1/ai/chat", json=BODY, headers=self.server.bearer(self.user)
        ) as answer:
            await answer.read()

    async def stopped(self, after: str) -> None:
        """Ask over a WebSocket; cancel after the first event of this kind."""
        async with self.server.socket(headers=self.server.bearer(self.user)) as socket:
            await socket.send_json(BODY)
            async with asyncio.timeout(30):
                if after == "request":
                    await self.openrouter.wait_for_completions()
                else:
                    while after not in await socket.receive_json():
                        pass
                await socket.send_json({"type": "cancel"})
                while not {"done", "error"} & (await socket.receive_json()).keys():
                    pass

    async def left(self) -> None:
        """Ask over SSE; go away after the first word."""
        async with self.server.client.post(
            f"{self.server.url}/v1/ai/chat", json=BODY, headers=self.server.bearer(self.user)
        ) as answer:
            async with asyncio.timeout(30):
                while b'"content"' not in await answer.content.readany():
                    pass
            answer.close()

    async def left_for_good(self) -> None:
        """The same, and nobody comes back."""
        await self.left()
        await self.openrouter.wait_for_disconnect()

    async def left_and_back(self) -> None:
        """The same, and come back for the rest."""
        await self.left()
        url, headers = f"{self.server.url}/v1/ai/chat/streams", self.server.bearer(self.user)
        async with self.server.client.get(url, headers=headers) as answer:
            (stream,) = (await answer.json())["data"]["streams"]
        async with self.server.client.get(f"{url}/{stream['id']}", headers=headers) as answer:
            self.openrouter.release.set()
            assert (await answer.read()).endswith(b"data: [DONE]\n\n")


Scenario = tuple[Reply, Callable[[Turn], Awaitable[None]]]


async def _whole(turn: Turn) -> None:
    await turn.whole()


async def _stopped_after_a_word(turn: Turn) -> None:
    await turn.stopped("content")


SCENARIOS: dict[str, Scenario] = {
    "The answer comes to its end": (Reply(), _whole),
    "It comes to its end, and upstream names no cost": (
        Reply(usage={"prompt_tokens": 50, "completion_tokens": 70, "total_tokens": 120}),
        _whole,
    ),
    "It comes to its end, and upstream counts nothing": (Reply(usage={}), _whole),
    "You stop it after the first word": (STALLING, _stopped_after_a_word),
    "Your connection is lost after the first word, and you come back": (
        STALLING,
        Turn.left_and_back,
    ),
    "Your connection is lost after the first word, and you do not": (STALLING, Turn.left_for_good),
    "You stop it before the first word, when upstream had begun": (
        BEGUN,
        lambda turn: turn.stopped("meta"),
    ),
    "You stop it before upstream has begun": (
        Reply(never_answer=True),
        lambda turn: turn.stopped("request"),
    ),
    "Upstream refuses": (Reply(status=500), _whole),
    "Upstream breaks off before the first word": (Reply(break_after=0), _whole),
    "Upstream breaks off after the first word": (Reply(content=WORDS, break_after=1), _whole),
    "Upstream fails after the first word": (
        Reply(content=WORDS, stream_error={"code": 502, "message": "x"}, error_after=1, usage={}),
        _whole,
    ),
    "Upstream falls silent after the first word": (STALLING, _whole),
    "Moderation ends it after the first word": (
        Reply(content=WORDS, finish_reason="content_filter"),
        _whole,
    ),
    "The server is restarted after the first word": (STALLING, Turn.left_for_good),
}
LOST = "Your connection is lost after the first word, and you do not"
SILENCE = "Upstream falls silent after the first word"
RESTART = "The server is restarted after the first word"


def table(first_column: str) -> list[list[str]]:
    """The rows of the table that begins with this column."""
    _, _, rest = TEXT.partition(f"| {first_column} |")
    lines = rest.splitlines()[2:]
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


ROWS = table("What happens")


def test_every_row_is_proven() -> None:
    assert [row[0] for row in ROWS] == list(SCENARIOS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
@pytest.mark.parametrize("purse", ["credits", "free message"])
async def test_the_table_is_true(
    start_server: StartServer, openrouter: FakeOpenRouter, purse: str, row: list[str]
) -> None:
    what, pays, free, outcome, basis = row
    reply, happens = SCENARIOS[what]
    openrouter.script(reply)
    patience = {
        SILENCE: {"CHUK_UPSTREAM_READ_TIMEOUT": "0.4"},
        LOST: {"CHUK_RESUME_GRACE": "0.1"},
    }.get(what, {})
    async with AsyncExitStack() as servers:
        server = await servers.enter_async_context(start_server(**patience))
        user = await rich(server) if purse == "credits" else uuid4()
        if what == RESTART:
            await _restarted(server, user, servers)
            server = await servers.enter_async_context(start_server())
        else:
            await happens(Turn(server, openrouter, user))
        receipt = await _receipt(server, user)
        assert receipt["outcome"] == outcome
        assert receipt["free_message"] is (purse == "free message")
        left = await ask(server, user, "/v1/user/status")
        if purse == "credits":
            assert receipt["basis"] == basis
            assert receipt["charged_eur"] == pytest.approx(_expected(server, openrouter, pays))
            assert left["credits_remaining"] == pytest.approx(10 - receipt["charged_eur"])
            assert left["free_messages_remaining"] == 10
        else:
            assert receipt["charged_eur"] == 0
            assert left["free_messages_remaining"] == {"used": 9, "given back": 10}[free]


async def _restarted(server: RunningServer, user: UUID, servers: AsyncExitStack) -> None:
    """Ask, read the first word, and shut the server down while the answer is still coming."""
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=BODY, headers=server.bearer(user)
    ) as answer:
        async with asyncio.timeout(30):
            while b'"content"' not in await answer.content.readany():
                pass
        await server.app[TURNS].drain(0)
        await answer.read()
    await servers.pop_all().aclose()


async def _receipt(server: RunningServer, user: UUID) -> Any:
    """The one receipt, once the turn is settled."""
    async with asyncio.timeout(30):
        while not (found := await receipts_of(server, user)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (receipt,) = found
    return receipt


def _expected(server: RunningServer, openrouter: FakeOpenRouter, pays: str) -> float:
    """What the second column comes to, in euros."""
    prices = server.app[CREDITS].prices
    if pays == "nothing":
        return 0.0
    if pays == "upstream's own cost":
        assert openrouter.charged > 0
        return prices.in_euros(openrouter.charged) / 1e6
    assert pays == "tokens × price"
    groq = openrouter.model(MODEL).endpoint("groq")
    return prices.in_euros(groq.cost(50, 70)) / 1e6


def test_the_example_is_reckoned_as_the_server_does() -> None:
    prices = PriceList(Decimal("0.92"), Decimal(0))
    pricing = Pricing(prompt=Decimal("0.29e-6"), completion=Decimal("0.59e-6"))
    prompt = cautious_prompt_tokens(text_tokens(3_000) + 4, 0)
    estimate = Estimate(prices, (pricing,), prompt, 4_096)
    cost_usd = tokens_usd(pricing, prompt_tokens=712, completion_tokens=523)
    taken = prices.in_euros(cost_usd)
    steps = {row[0]: (row[1], row[2]) for row in table("Step")}
    assert steps["Estimate of the prompt"] == (f"{prompt} tokens", _shown(estimate.cost(0)))
    assert steps["Held"][1] == _shown(estimate.at_most)
    assert steps["Must be there at least"][1] == _shown(estimate.at_least)
    assert steps["Taken, for 712 and 523 tokens"] == (
        f"{cost_usd:f} $, said by upstream",
        _shown(taken),
    )
    assert steps["Given back"][1] == _shown(MicroEuro(estimate.at_most - taken))
    assert f"may have {estimate.affordable_tokens(MicroEuro(1_000))} tokens" in TEXT


def _shown(amount: MicroEuro) -> str:
    return f"{amount / 1e6:.6f}"
