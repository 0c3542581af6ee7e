"""Every failure of an upstream becomes one error of ours, without a word of what it said."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from chuk.adapters.openai_compatible import Address, OpenAICompatible
from chuk.adapters.openrouter import OpenRouter
from chuk.adapters.push_client import PushClient
from chuk.adapters.refusals import retry_after_seconds
from chuk.chat.events import Ended, UpstreamEvent
from chuk.errors import (
    ChukError,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    ServiceUnavailable,
    StreamInterrupted,
)
from tests.adapters.completion_chunks import DONE, a_request, chunk, completed, text_of
from tests.adapters.conftest import a_push_client
from tests.adapters.raw_upstream import CHUNKED, SSE_HEAD, framed, raw_upstream, says
from tests.adapters.upstream_failures import REFUSALS, SECRET, TOO_LONG
from tests.fakes.openrouter import FakeOpenRouter, Reply


@pytest.mark.parametrize(("answer", "expected", "details"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_becomes_its_error(
    openrouter: FakeOpenRouter,
    push: PushClient,
    answer: Reply,
    expected: type[ChukError],
    details: dict[str, object],
) -> None:
    openrouter.script(answer)
    upstream = OpenRouter(push, lambda: Address(openrouter.base_url, openrouter.api_key))
    with pytest.raises(ChukError) as caught:
        await completed(upstream)
    assert type(caught.value) is expected
    assert caught.value.details == details
    assert SECRET not in f"{caught.value!r} {caught.value.details}"
    # A redirect would take the key somewhere else.
    assert len(openrouter.requests) == 1


async def test_an_error_answer_may_arrive_in_pieces(push: PushClient) -> None:
    body = json.dumps({"error": TOO_LONG}).encode()
    first_part_read = asyncio.Event()

    async def answer(_head: bytes, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body[:40])
        await writer.drain()
        await first_part_read.wait()
        writer.write(body[40:])
        await writer.drain()

    async with raw_upstream(answer) as url:
        completion = asyncio.create_task(completed(OpenAICompatible(push, lambda: Address(url))))
        asyncio.get_running_loop().call_later(0.05, first_part_read.set)
        with pytest.raises(ChukError) as caught:
            await completion
    assert caught.value.code == "CONTEXT_TOO_LONG"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b'"secret"',
        b'{"error": "secret"}',
        b'{"error": [1]}',
        b'{"error": {"code": "9999999999999999999999", "message": {"a": 1}}}',
        b"[" * 60_000,
        b'{"error": {"message": "' + b"x" * 200_000 + b'"}}',
    ],
    ids=range(9),
)
async def test_an_error_answer_may_say_anything(push: PushClient, body: bytes) -> None:
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with raw_upstream(says(head + body)) as url:
        with pytest.raises(ModelUnavailable):
            await completed(OpenAICompatible(push, lambda: Address(url)))


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"error": {"code": 429, "message": SECRET}}, "MODEL_UNAVAILABLE"),
        ({"error": {"code": "x", "message": SECRET}}, "PROVIDER_ERROR"),
        ({"error": TOO_LONG}, "CONTEXT_TOO_LONG"),
        ({"choices": [{"message": {"content": SECRET}}]}, "PROVIDER_ERROR"),
    ],
)
async def test_json_instead_of_a_stream_is_an_error(
    push: PushClient, document: object, code: str
) -> None:
    body = json.dumps(document).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    async with raw_upstream(says(head % len(body) + body)) as url:
        with pytest.raises(ChukError) as caught:
            await completed(OpenAICompatible(push, lambda: Address(url)))
    assert caught.value.code == code
    assert SECRET not in caught.value.message


async def test_a_page_instead_of_a_stream_is_an_error(push: PushClient) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>\n\nlog in\n\n</html>"
    async with raw_upstream(says(page)) as url:
        with pytest.raises(ProviderError):
            await completed(OpenAICompatible(push, lambda: Address(url)))


async def test_nobody_there_is_the_services_fault_or_the_own_models(
    push: PushClient, unused_tcp_port: int
) -> None:
    nobody = Address(f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(ServiceUnavailable) as caught:
        await completed(OpenRouter(push, lambda: nobody))
    assert type(caught.value) is ServiceUnavailable
    with pytest.raises(ModelUnavailable):
        await completed(OpenAICompatible(push, lambda: nobody))


async def test_a_connection_that_is_never_accepted_is_a_timeout() -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            # Fill the backlog: the kernel then drops who comes next.
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        host, port = listener.getsockname()
        push = a_push_client(connect_timeout=0.1)
        with pytest.raises(ProviderTimeout):
            await completed(OpenRouter(push, lambda: Address(f"http://{host}:{port}")))


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 200 OK\r\nContent-", SSE_HEAD, SSE_HEAD + b"Content-Length: 9\r\n\r\n:"],
)
async def test_a_cut_before_any_text_is_the_providers_error(
    push: PushClient, before: bytes
) -> None:
    async with raw_upstream(says(before)) as url:
        with pytest.raises(ProviderError):
            await completed(OpenAICompatible(push, lambda: Address(url)))


@pytest.mark.parametrize("delta", [{"content": "Hel"}, {"reasoning": "Hel"}])
async def test_a_cut_after_some_text_interrupts_the_stream(
    push: PushClient, delta: dict[str, str]
) -> None:
    events: list[UpstreamEvent] = []
    async with raw_upstream(says(CHUNKED, framed(chunk(**delta)))) as url:
        with pytest.raises(StreamInterrupted):
            await completed(OpenAICompatible(push, lambda: Address(url)), events)
    assert Ended() not in events


async def test_an_end_without_a_reason_is_an_interruption(
    push: PushClient,
) -> None:
    async with raw_upstream(says(CHUNKED, framed(chunk(content="Hel")), framed(b""))) as url:
        with pytest.raises(StreamInterrupted):
            await completed(OpenAICompatible(push, lambda: Address(url)))


@pytest.mark.parametrize("ending", [b"", framed(b"")], ids=["cut", "ended"])
async def test_a_finish_reason_is_an_end_even_without_the_last_words(
    push: PushClient, ending: bytes
) -> None:
    parts = (CHUNKED, framed(chunk(content="Hello")), framed(chunk("stop")), ending)
    async with raw_upstream(says(*parts)) as url:
        events = await completed(OpenAICompatible(push, lambda: Address(url)))
    assert text_of(events) == "Hello"
    assert events[-1] == Ended()


async def test_a_body_that_goes_on_after_its_end_is_left(
    push: PushClient,
) -> None:
    left = asyncio.Event()

    async def answer(
        _head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(CHUNKED + framed(chunk(content="Hello")) + framed(DONE))
        # The request's body, and then the end of the connection.
        while await reader.read(65_536):
            pass
        left.set()

    async with raw_upstream(answer) as url:
        events = await completed(OpenAICompatible(push, lambda: Address(url)))
        assert events[-1] == Ended()
        async with asyncio.timeout(30):
            await left.wait()


async def test_a_server_that_hangs_up_after_each_answer_loses_no_question(
    push: PushClient,
) -> None:
    async def answer(
        _head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"}")
        writer.write(CHUNKED + framed(chunk("stop", content="Hello") + DONE) + framed(b""))
        await writer.drain()
        # Whatever else comes over this connection is not answered.
        await reader.read(1)

    async with raw_upstream(answer) as url:
        upstream = OpenAICompatible(push, lambda: Address(url))
        for _ in range(3):
            assert text_of(await completed(upstream)) == "Hello"


async def test_being_cancelled_leaves_upstream_at_once(
    openrouter: FakeOpenRouter, push: PushClient
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    upstream = OpenRouter(push, lambda: Address(openrouter.base_url, openrouter.api_key))
    came = asyncio.Event()

    def take(batch: Sequence[UpstreamEvent]) -> None:
        if text_of(batch):
            came.set()

    completion = asyncio.create_task(upstream.complete(a_request(), take))
    await came.wait()
    completion.cancel()
    await openrouter.wait_for_disconnect()
    with pytest.raises(asyncio.CancelledError):
        await completion


async def test_what_a_taker_raises_ends_the_completion_and_the_connection(
    openrouter: FakeOpenRouter, push: PushClient
) -> None:
    openrouter.script(Reply(content=["a", "b"], stall_after=1))
    upstream = OpenRouter(push, lambda: Address(openrouter.base_url, openrouter.api_key))

    def take(batch: Sequence[UpstreamEvent]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await upstream.complete(a_request(), take)
    await openrouter.wait_for_disconnect()


async def test_a_server_of_ones_own_gets_its_model_name_and_no_key(
    push: PushClient,
) -> None:
    asked: list[bytes] = []

    async def answer(
        head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked.extend((head, await reader.readuntil(b"}")))
        writer.write(CHUNKED + framed(chunk("stop", content="a") + DONE) + framed(b""))
        await writer.drain()

    async with raw_upstream(answer) as url:
        names = {"qwen/qwen3-32b": "their name"}
        await completed(OpenAICompatible(push, lambda: Address(url), model_names=names))
    head, body = asked
    assert b"authorization" not in head.lower()
    assert b'"model":"their name"' in body


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
    assert retry_after_seconds("17", now) == 17
    assert retry_after_seconds(" 17 ", now) == 17
    assert retry_after_seconds("Thu, 15 Jan 2026 10:31:00 GMT", now) == 60
    assert retry_after_seconds("Thu, 15 Jan 2026 10:00:00 GMT", now) == 0
    assert retry_after_seconds("99999999", now) == 86_400
    for nonsense in (None, "", "soon", "-1", "²", "9" * 5_000, "Thu, 99 Foo 2026"):
        assert retry_after_seconds(nonsense, now) is None
