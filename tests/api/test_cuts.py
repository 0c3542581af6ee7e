"""Wherever its connections are cut, an answer arrives whole and once, and is paid for once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.stream_client import BODY, receive
from tests.conftest import StartServer
from tests.credits.people import receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import RunningServer, answer_text

_START_AND_META = 2


@dataclass(frozen=True)
class Plan:
    """One answer, and what happens to its connections.

    Attributes:
        pieces, per_write: what upstream says, in how many pieces a write.
        waits_at: upstream waits before this piece until all before it has arrived.
        cuts: for each connection in turn, its transport and after how many new events it is cut.
        last: the transport of the one that reads to the end.
    """

    pieces: list[str]
    per_write: int
    waits_at: int
    cuts: list[tuple[str, int]]
    last: str

    @property
    def arrives_first(self) -> int:
        """How many events there are before upstream waits."""
        return _START_AND_META + self.waits_at


@dataclass
class Client:
    """Somebody whose connections break. It counts the events that arrived, and sees no more.

    Attributes:
        events: what arrived so far, on whatever connection; the end after success is `{}`.
        waits: opened once `arrives_first` events have arrived.
    """

    server: RunningServer
    user: UUID
    arrives_first: int
    waits: asyncio.Event
    events: list[Any] = field(default_factory=list)

    @property
    def stream(self) -> str | None:
        """The name of the stream, once it has arrived."""
        return self.events[0]["stream"]["id"] if self.events else None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to come back for."""
        return self.events[-1:] == [{}]

    async def listen(self, transport: str, most: int) -> None:
        """Ask, or come back; take this many more events at most, then cut the connection."""
        if not self.has_ended:
            wanted = len(self.events) + most
            await {"sse": self._over_sse, "socket": self._over_socket}[transport](wanted)

    def _take(self, event: Any) -> None:
        self.events.append(event)
        if len(self.events) >= self.arrives_first:
            self.waits.set()

    async def _over_sse(self, wanted: int) -> None:
        headers = self.server.bearer(self.user)
        method, url = "POST", f"{self.server.url}/v1/ai/chat"
        if self.stream is not None:
            method, url = "GET", f"{url}/streams/{self.stream}"
            headers["Last-Event-ID"] = f"{self.stream}:{len(self.events)}"
        body = BODY if self.stream is None else None
        async with self.server.client.request(method, url, headers=headers, json=body) as answer:
            assert answer.status == 200, await answer.text()
            rest = b""
            while len(self.events) < wanted and not self.has_ended:
                chunk = await asyncio.wait_for(answer.content.readany(), 30)
                assert chunk, "the answer ended without its end"
                rest += chunk
                *blocks, rest = rest.split(b"\n\n")
                for block in blocks[: wanted - len(self.events)]:
                    self._take_block(block.decode())
            answer.close()

    def _take_block(self, block: str) -> None:
        if block == "data: [DONE]":
            self._take({})
            return
        identity, _, data = block.partition("\n")
        self._take(json.loads(data.removeprefix("data: ")))
        assert identity == f"id: {self.stream}:{len(self.events)}"

    async def _over_socket(self, wanted: int) -> None:
        async with self.server.socket(headers=self.server.bearer(self.user)) as socket:
            message: dict[str, Any] = BODY
            if self.stream is not None:
                message = {"type": "resume", "stream": self.stream, "after": len(self.events)}
            await socket.send_json(message)
            while len(self.events) < wanted and not self.has_ended:
                event = await receive(socket)
                self._take({} if event == {"done": True} else event)


_TEXTS = st.text(st.sampled_from('ab"\\\n\u2028 漢🙂\x00'), min_size=1, max_size=4)
_TRANSPORTS = st.sampled_from(["sse", "socket"])
_PLANS = st.builds(
    Plan,
    pieces=st.lists(_TEXTS, min_size=1, max_size=8),
    per_write=st.integers(1, 3),
    waits_at=st.integers(1, 9),
    cuts=st.lists(st.tuples(_TRANSPORTS, st.integers(1, 12)), min_size=1, max_size=4),
    last=_TRANSPORTS,
)


async def test_whatever_is_cut_the_text_is_whole_and_paid_for_once(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    limits = dict.fromkeys(["CHUK_LIMIT_CHAT", "CHUK_LIMIT_OTHER"], "100000")
    async with start_server(**limits) as server:
        loop = asyncio.get_running_loop()

        @settings(max_examples=35, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_PLANS)
        def every_plan(plan: Plan) -> None:
            asyncio.run_coroutine_threadsafe(live(server, openrouter, plan), loop).result(20)

        await asyncio.to_thread(every_plan)
        assert openrouter.disconnects == 0


async def live(server: RunningServer, openrouter: FakeOpenRouter, plan: Plan) -> None:
    """One answer, cut as planned."""
    client = Client(server, await rich(server), plan.arrives_first, asyncio.Event())
    openrouter.script(
        Reply(
            content=plan.pieces,
            pieces_per_write=plan.per_write,
            gates={plan.waits_at: client.waits},
        )
    )
    for transport, events in plan.cuts:
        await client.listen(transport, events)
    await client.listen(plan.last, 1_000)
    *before, end = client.events
    assert end == {}
    assert answer_text(before) == "".join(plan.pieces)
    assert [next(iter(event)) for event in before if "content" not in event] == [
        "stream",
        "meta",
        "usage",
        "tps",
    ]
    (receipt,) = await receipts_of(server, client.user)
    assert receipt["outcome"] == "completed" and receipt["charged_eur"] > 0


async def test_a_client_cut_before_its_first_event_finds_its_answer_in_the_list(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(never_answer=True))
    user = await rich(server, user=uuid4())
    async with server.socket(headers=server.bearer(user)) as socket:
        await socket.send_json(BODY)
        await openrouter.wait_for_completions()
    url = f"{server.url}/v1/ai/chat/streams"
    async with server.client.get(url, headers=server.bearer(user)) as answer:
        (facts,) = (await answer.json())["data"]["streams"]
    assert facts["state"] == "running" and facts["last_event"] == 0
    openrouter.release.set()
    async with server.client.get(f"{url}/{facts['id']}", headers=server.bearer(user)) as answer:
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
