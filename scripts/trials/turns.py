"""People who chat through everything that fails, and what the books must say of it afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import aiohttp

from chuk.books import open_books
from chuk.credits.ledger import Outcome, Receipt
from chuk.settings import load
from tests.harness import MODEL
from trials.people import Lost, ending, sse, text_of
from trials.rig import Trial

EUROS = 100
# What a client may be told while something fails: try again, or that its answer broke off.
_HONEST = {
    "PROVIDER_ERROR",
    "PROVIDER_TIMEOUT",
    "SERVICE_UNAVAILABLE",
    "MODEL_UNAVAILABLE",
    "STREAM_INTERRUPTED",
    "INTERNAL_ERROR",
    "RATE_LIMITED",
}


@dataclass
class Turn:
    """One question and what came of it.

    Attributes:
        end: `done`, an error's code, or empty while it runs.
        stream: its name, where it was told.
    """

    end: str = ""
    stream: str = ""
    text: str = ""


@dataclass
class Talker:
    """Somebody who asks one thing after the other, over SSE or over sockets."""

    id: UUID
    headers: Mapping[str, str]
    over_socket: bool
    turns: list[Turn] = field(default_factory=list)

    async def ask(self, trial: Trial) -> Turn:
        """One turn to its end.

        Raises:
            Lost: it ended not at all, twice, or dishonestly.
        """
        turn = Turn()
        self.turns.append(turn)
        words = f"stream river stone cloud {uuid4().hex[:12]}"
        body = {"model_id": MODEL, "message": words, "max_tokens": 400}
        try:
            async with asyncio.timeout(30):
                if self.over_socket:
                    events = await self._over_socket(trial, body)
                else:
                    events = await self._over_sse(trial, body)
        except TimeoutError:
            raise Lost("a turn without an end") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Lost(f"a connection that broke: {type(error).__name__}") from None
        turn.end = ending(events)
        turn.text = text_of(events)
        names = [event["stream"]["id"] for event in events if "stream" in event]
        turn.stream = names[0] if names else ""
        if turn.end == "done" and (words not in turn.text or not turn.text.endswith("letters.")):
            raise Lost("an answer with a hole")
        if turn.end != "done" and turn.end not in _HONEST:
            raise Lost(f"a turn that ended with {turn.end}")
        return turn

    async def _over_sse(self, trial: Trial, body: Mapping[str, Any]) -> list[Any]:
        url = f"{trial.url}/v1/ai/chat"
        async with trial.client.post(url, json=body, headers=self.headers) as answer:
            if answer.status != 200:
                return [await answer.json()]
            return [event async for _, event in sse(answer)]

    async def _over_socket(self, trial: Trial, body: Mapping[str, Any]) -> list[Any]:
        url = f"{trial.url}/v1/ai/chat/ws"
        async with trial.client.ws_connect(url, headers=self.headers) as socket:
            await socket.send_json(body)
            events: list[Any] = []
            while not events or not ({"done", "error"} & events[-1].keys()):
                events.append(await socket.receive_json())
            return events


@dataclass
class Talk:
    """Several people at once.

    Attributes:
        lost: what must not happen, and did.
        ends: how turns ended, by end.
    """

    trial: Trial
    talkers: Sequence[Talker]
    lost: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _over: bool = False

    async def run(self) -> None:
        """Talk until `stop`."""
        await asyncio.gather(*(self._talk(each) for each in self.talkers))

    def stop(self) -> None:
        self._over = True

    async def has_ended(self, more: int, *, end: str | None = None) -> None:
        """Wait until so many more turns have ended, with this end where one is named."""
        aim = self._count(end) + more
        while self._count(end) < aim:
            self._changed.clear()
            await self._changed.wait()

    def _count(self, end: str | None) -> int:
        return self.ends.total() if end is None else self.ends[end]

    async def _talk(self, talker: Talker) -> None:
        while not self._over:
            try:
                turn = await talker.ask(self.trial)
                self.ends[turn.end] += 1
                if turn.end != "done":
                    # As a client would that was told to try again.
                    await asyncio.sleep(0.1)
            except Lost as error:
                self.lost.append(str(error))
                await asyncio.sleep(0.1)
            self._changed.set()


async def differences(trial: Trial, talkers: Sequence[Talker]) -> list[str]:
    """What is wrong in the books: nothing, where everything is paid once and rightly."""
    wrong: list[str] = []
    books = await open_books(load(dict(trial.environ), directory=trial.folder))
    try:
        for talker in talkers:
            receipts = await books.ledger.receipts(talker.id, before=None, limit=10_000)
            purse = await books.ledger.purse(talker.id)
            wrong += _of_one(talker, receipts)
            charged = sum(each.charged for each in receipts)
            if purse.held != 0 or purse.available != EUROS * 1_000_000 - charged:
                wrong.append(f"a purse of {purse.available} and {purse.held} held, {charged} paid")
        wrong += [f"{each.what} differs" for each in await books.ledger.verify()]
    finally:
        await books.close()
    return wrong


async def all_settled(trial: Trial, talkers: Sequence[Talker], *, seconds: float) -> bool:
    """Wait until nothing of these people is on hold; false where that takes too long."""
    books = await open_books(load(dict(trial.environ), directory=trial.folder))
    try:
        for _ in range(int(seconds * 5)):
            purses = [await books.ledger.purse(each.id) for each in talkers]
            if all(purse.held == 0 for purse in purses):
                return True
            await asyncio.sleep(0.2)
        return False
    finally:
        await books.close()


def _of_one(talker: Talker, receipts: Sequence[Receipt]) -> list[str]:
    wrong: list[str] = []
    by_turn = {each.id: each for each in receipts}
    if len(by_turn) != len(receipts):
        wrong.append("a turn with two receipts")
    asked = [each.usage.generation_id for each in receipts if each.usage.generation_id]
    if len(set(asked)) != len(asked):
        wrong.append("one answer of upstream's that was paid for twice")
    for turn in talker.turns:
        receipt = by_turn.get(turn.stream)
        if turn.end == "done" and (
            receipt is None or receipt.charged <= 0 or receipt.usage.outcome is Outcome.FAILED
        ):
            wrong.append("an answer that nobody paid")
        if turn.end != "done" and not turn.text and receipt is not None and receipt.charged > 0:
            wrong.append(f"a price for nothing ({turn.end}, {receipt.usage.outcome})")
    return wrong
