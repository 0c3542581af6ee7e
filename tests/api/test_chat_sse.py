"""An answer over SSE: its events, in their order and shape, and the headers around them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.chat_client import Block, sse_blocks
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, answer_text, live_sse

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


async def blocks_of(server: RunningServer, **fields: Any) -> list[Block]:
    """One turn, block by block."""
    async with server.client.post(
        f"{server.url}/v1/ai/chat",
        json={"model_id": MODEL, "message": "Hello", **fields},
        headers=server.bearer(),
    ) as response:
        assert response.status == 200
        return sse_blocks(await response.read())


def one(events: list[Any], key: str) -> Any:
    """The value of the only event with this key."""
    (value,) = [event[key] for event in events if isinstance(event, dict) and key in event]
    return value


async def test_events_come_in_order_and_shape(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(reasoning=["Hm", "m"], content=["Hel", "lo"]))
    events = await server.chat(provider_slug="groq")
    stream, meta, *pieces, usage, tps, end = events
    assert list(stream) == ["stream"] and list(stream["stream"]) == ["id"]
    assert meta == {"meta": {"model": MODEL, "provider": "groq", "free_message": False}}
    assert pieces == [
        {"reasoning": "Hm"},
        {"reasoning": "m"},
        {"content": "Hel"},
        {"content": "lo"},
    ]
    assert usage == {
        "usage": {
            "prompt_tokens": 1,
            "completion_tokens": 4,
            "total_tokens": 5,
            "cost_eur": 3e-06,
            "held_eur": usage["usage"]["held_eur"],
            "cost_basis": "upstream",
            "provider": "groq",
            "zdr": True,
            "free_message": False,
            "finish_reason": "stop",
        }
    }
    assert usage["usage"]["held_eur"] > 3e-06
    assert list(tps) == ["tps"] and tps["tps"] > 0
    assert end == "[DONE]"


async def test_each_event_has_the_streams_id_and_its_number(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a"] * 50, pieces_per_write=7))
    blocks = await blocks_of(server)
    *numbered, end = blocks
    stream_id = numbered[0].data["stream"]["id"]
    assert [block.id for block in numbered] == [
        f"{stream_id}:{number}" for number in range(1, len(numbered) + 1)
    ]
    assert end == Block(None, "[DONE]")


async def test_the_ids_go_on_through_reasoning_and_an_error(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    error = {"code": 502, "message": "x"}
    openrouter.script(Reply(reasoning=["a", "b"], content=["c"], stream_error=error))
    blocks = await blocks_of(server)
    stream_id = blocks[0].data["stream"]["id"]
    assert [block.id for block in blocks] == [
        f"{stream_id}:{number}" for number in range(1, len(blocks) + 1)
    ]
    assert "error" in blocks[-1].data


async def test_two_streams_have_two_ids(server: RunningServer) -> None:
    first, second = await asyncio.gather(server.chat(), server.chat())
    assert one(first, "stream") != one(second, "stream")


@pytest.mark.parametrize("encoding", ["gzip", "deflate, gzip, br", "identity"])
async def test_the_answer_is_not_cached_not_held_back_and_not_compressed(
    server: RunningServer, encoding: str
) -> None:
    async with server.client.post(
        f"{server.url}/v1/ai/chat",
        json={"model_id": MODEL, "message": "Hello"},
        headers={**server.bearer(), "Accept-Encoding": encoding, "X-Request-ID": "mine-1"},
        auto_decompress=False,
    ) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["X-Request-ID"] == "mine-1"
        assert int(response.headers["X-RateLimit-Remaining"]) == 59
        assert "Content-Encoding" not in response.headers
        assert sse_blocks(await response.read())[-1].data == "[DONE]"


async def test_text_arrives_before_upstream_goes_on(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["first", "second"], stall_after=1))
    async with live_sse(server) as events:
        while (await anext(events)) != {"content": "first"}:
            pass
        openrouter.release.set()
        assert await anext(events) == {"content": "second"}


async def test_an_answer_is_the_same_however_upstream_cuts_it(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    text = 'Ünïcode 🙂 "quoted"\n\\ line\u2028two 漢字\x00'
    openrouter.script(Reply(content=list(text)), Reply(content=[text], pieces_per_write=9))
    assert answer_text(await server.chat()) == text
    assert answer_text(await server.chat()) == text


async def test_half_a_surrogate_pair_waits_for_its_other(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    def chunk(content: str) -> bytes:
        return f'data: {{"choices":[{{"delta":{{"content":"{content}"}}}}]}}\n\n'.encode()

    halves = [chunk(r"a\ud83d"), chunk(r"\ude42b"), b"data: [DONE]\n\n"]
    openrouter.script(Reply(raw=halves))
    assert answer_text(await server.chat()) == "a🙂b"


async def test_pings_come_while_upstream_is_silent(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    async with (
        start_server(CHUK_CHAT_PING_INTERVAL="0.02") as server,
        server.client.post(
            f"{server.url}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello"},
            headers=server.bearer(),
        ) as response,
    ):
        body = b""
        while body.count(b"\n\n: ping") < 3:
            body += await response.content.readany()
        openrouter.release.set()
        body += await response.read()
    blocks = sse_blocks(body)
    assert blocks[-1].data == "[DONE]"
    assert {block.comment for block in blocks if block.comment is not None} == {"ping"}
    numbered = [block for block in blocks if block.id is not None]
    assert [block.id.partition(":")[2] for block in numbered if block.id] == [
        str(number) for number in range(1, len(numbered) + 1)
    ]


@pytest.mark.parametrize("reply", [Reply(never_answer=True), Reply(stall_after=0)])
async def test_a_silent_upstream_is_covered_by_meta_events(
    start_server: StartServer, openrouter: FakeOpenRouter, reply: Reply
) -> None:
    openrouter.script(reply)
    meta = {"meta": {"model": MODEL, "provider": "deepinfra/fp8", "free_message": False}}
    async with (
        start_server(CHUK_CHAT_SILENCE_INTERVAL="0.05") as server,
        live_sse(server) as events,
    ):
        assert "stream" in await anext(events)
        for _ in range(3):
            assert await anext(events) == meta
        openrouter.release.set()
        rest = [event async for event in events]
    assert answer_text(rest[:-1]) and rest[-1] == "[DONE]"


async def test_usage_is_estimated_where_upstream_counts_nothing(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.asks_before_cost = None
    openrouter.script(Reply(content=["one", " two", " three"], usage={}))
    usage = one(await server.chat("Hello there, how are you?"), "usage")
    assert usage["estimated"] is True
    assert usage["completion_tokens"] >= 3
    assert usage["prompt_tokens"] >= 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["cost_eur"] > 0


async def test_an_answer_in_large_pieces_is_not_underestimated(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.asks_before_cost = None
    openrouter.script(Reply(content=["word " * 400], usage={}))
    assert one(await server.chat(), "usage")["completion_tokens"] >= 400


@pytest.mark.parametrize(
    ("usage", "environ", "cost_eur"),
    [
        # Upstream's own price: 0.0005 USD.
        ({**USAGE, "cost": 0.0005}, {}, 0.00046),
        ({**USAGE, "cost": 0.0005}, {"CHUK_USD_TO_EUR": "0.8", "CHUK_MARGIN": "0.5"}, 0.0006),
        ({**USAGE, "cost": 0}, {}, 0),
        # The list's price: 10 * 0.29 + 20 * 0.59 = 14.7 USD a million.
        (USAGE, {"CHUK_USD_TO_EUR": "1"}, 0.000015),
        (USAGE, {"CHUK_USD_TO_EUR": "1", "CHUK_MARGIN": "1"}, 0.00003),
    ],
)
async def test_the_cost_is_in_euros_rounded_up_to_the_millionth(
    start_server: StartServer,
    openrouter: FakeOpenRouter,
    usage: dict[str, Any],
    environ: dict[str, str],
    cost_eur: float,
) -> None:
    openrouter.script(Reply(usage=usage))
    async with start_server(**environ) as server:
        told = one(await server.chat(provider_slug="groq"), "usage")
    assert told["cost_eur"] == cost_eur
    assert {name: told[name] for name in USAGE} == USAGE
    assert told["cost_basis"] == ("upstream" if "cost" in usage else "tokens")


async def test_the_last_of_several_usages_counts(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(usage=USAGE, usage_with_finish=True))
    assert one(await server.chat(), "usage")["total_tokens"] == 30


async def test_an_answer_that_hit_its_limit_says_so(server: RunningServer) -> None:
    usage = one(await server.chat("many words to say", max_tokens=2), "usage")
    assert usage["finish_reason"] == "length"
    assert usage["completion_tokens"] == 2


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
async def test_a_finish_reason_ends_well_with_or_without_upstreams_last_word(
    server: RunningServer, openrouter: FakeOpenRouter, reason: str, done: bool
) -> None:
    openrouter.script(Reply(content=["a"], finish_reason=reason, done=done))
    events = await server.chat()
    assert events[-1] == "[DONE]"
    assert one(events, "usage")["finish_reason"] == reason


async def test_the_speed_is_told_however_short_the_answer(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    for content in (["a"], ["a", "b"]):
        openrouter.script(Reply(content=content), Reply(content=content, usage={}))
        for _ in range(2):
            assert one(await server.chat(), "tps") >= 0


async def test_the_health_page_counts_open_streams(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    async def active() -> int:
        async with server.client.get(f"{server.url}/health") as response:
            count: int = (await response.json())["data"]["active_connections"]
            return count

    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    assert await active() == 0
    async with live_sse(server) as events:
        await anext(events)
        assert await active() == 1
        openrouter.release.set()
        async for _ in events:
            pass
    assert await active() == 0
