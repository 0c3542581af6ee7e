"""Through nginx and through Caddy everything arrives as it would without them, and as soon."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.edge.conftest import Behind
from tests.edge.edges import client_of
from tests.fakes.openrouter import Reply
from tests.harness import MODEL, answer_text, sse_events, turn_events

pytestmark = pytest.mark.edge

_VISION = "google/gemma-3-27b-it"
_CHAT = {"model_id": MODEL, "message": "Hello"}
_HSTS = "Strict-Transport-Security"
# The most that all pictures of one message may have; in base64 nearly 27 MB.
_PICTURE = b"\x89PNG\r\n\x1a\n" + b"\x00" * (20_000_000 - 8)

_TOO_LARGE = 40_000_000


async def next_event(reader: Any) -> Any:
    """The next event of a stream that is read line by line; None for the end after success."""
    async with asyncio.timeout(30):
        while line := await reader.readline():
            if line.startswith(b"data: "):
                data = line[6:].strip()
                return None if data == b"[DONE]" else json.loads(data)
    raise AssertionError("the stream has ended")


async def told(reader: Any, text: str) -> None:
    """Wait until this piece of an answer has arrived."""
    while (await next_event(reader)).get("content") != text:
        pass


async def test_each_event_arrives_before_the_next_is_there(behind: Behind) -> None:
    second = asyncio.Event()
    behind.openrouter.script(Reply(content=["one", "two"], gates={1: second}))
    async with behind.edge.client.post(
        f"{behind.edge.url}/v1/ai/chat",
        json=_CHAT,
        headers={**behind.server.bearer(), "Accept-Encoding": "gzip, br"},
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert "Content-Encoding" not in answer.headers
        await told(answer.content, "one")
        second.set()
        await told(answer.content, "two")
        assert sse_events(await answer.read())[-1] == "[DONE]"


async def test_so_it_does_over_http_2(behind: Behind) -> None:
    second = asyncio.Event()
    behind.openrouter.script(Reply(content=["one", "two"], gates={1: second}))
    async with behind.edge.curling(
        *("--include", "--compressed", "--json", json.dumps(_CHAT)),
        *("--header", f"Authorization: {behind.server.bearer()['Authorization']}"),
        f"{behind.edge.url}/v1/ai/chat",
    ) as curl:
        assert curl.stdout is not None
        assert (await curl.stdout.readline()).startswith(b"HTTP/2 200")
        await told(curl.stdout, "one")
        second.set()
        await told(curl.stdout, "two")


async def test_the_openai_stream_arrives_event_by_event_too(behind: Behind) -> None:
    second = asyncio.Event()
    behind.openrouter.script(Reply(content=["one", "two"], gates={1: second}))
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello"}]}
    async with behind.edge.client.post(
        f"{behind.edge.url}/v1/chat/completions", json=body, headers=behind.server.bearer()
    ) as answer:
        for piece in ("one", "two"):
            while True:
                event = await next_event(answer.content)
                if event["choices"] and event["choices"][0]["delta"].get("content") == piece:
                    break
            second.set()


async def test_a_socket_carries_turn_after_turn(behind: Behind) -> None:
    second = asyncio.Event()
    behind.openrouter.script(Reply(content=["one", "two"], gates={1: second}))
    url = f"{behind.edge.url}/v1/ai/chat/ws"
    async with behind.edge.client.ws_connect(url) as socket:
        token = behind.server.token()
        await socket.send_json({**_CHAT, "token": token})
        while (await socket.receive_json(timeout=30)).get("content") != "one":
            pass
        second.set()
        assert answer_text(await turn_events(socket)) == "two"
        await socket.send_json(_CHAT)
        assert (await turn_events(socket))[-1] == {"done": True}


async def test_the_largest_message_passes_over_either_transport(behind: Behind) -> None:
    picture = f"data:image/jpeg;base64,{base64.b64encode(_PICTURE).decode()}"
    message = {"model_id": _VISION, "message": "What is this?", "images": [picture]}
    url = f"{behind.edge.url}/v1/ai/chat"
    bearer = behind.server.bearer()
    async with behind.edge.client.ws_connect(f"{url}/ws", headers=bearer) as socket:
        await socket.send_json(message)
        assert (await turn_events(socket))[-1] == {"done": True}
    body = io.BytesIO(json.dumps(message).encode())
    headers = {**bearer, "Content-Type": "application/json"}
    async with behind.edge.client.post(url, data=body, headers=headers) as answer:
        assert sse_events(await answer.read())[-1] == "[DONE]"
    sizes = [len(json.dumps(each.body)) for each in behind.openrouter.completions]
    assert len(sizes) == 2 and min(sizes) > 26_000_000


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    behind: Behind,
) -> None:
    parts = urlsplit(behind.edge.url)
    trust = behind.edge.authority.trust()
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port, ssl=trust)
    answer = asyncio.create_task(reader.readuntil(b"}}}"))
    sent = 0
    try:
        writer.write(
            f"POST /v1/ai/convert-file HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: {behind.server.bearer()['Authorization']}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {_TOO_LARGE}\r\n\r\n--b\r\n".encode()
        )
        while not answer.done():
            # Caddy passes a refusal on when the next piece comes, nginx at once.
            writer.write(b"x" * 1000)
            sent += 1000
            await asyncio.wait({answer}, timeout=0.05)
            assert sent < 100_000
        text = await answer
    finally:
        writer.close()
    assert b" 413 " in text.partition(b"\r\n")[0]
    assert b'"FILE_TOO_LARGE"' in text


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_who_sends_it_all_the_same_reads_the_refusal(
    behind: Behind, tmp_path: Path, version: str
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(_TOO_LARGE)
    out = await behind.edge.curl(
        *(version, "--form", f"file=@{large}", "--write-out", "\n%{http_code}"),
        *("--header", f"Authorization: {behind.server.bearer()['Authorization']}"),
        f"{behind.edge.url}/v1/ai/convert-file",
    )
    body, _, status = out.rpartition(b"\n")
    assert (status, json.loads(body)["error"]["code"]) == (b"413", "FILE_TOO_LARGE")


async def test_an_answer_is_taken_up_after_the_last_event_that_arrived(behind: Behind) -> None:
    second = asyncio.Event()
    behind.openrouter.script(Reply(content=["one", "two"], gates={1: second}))
    bearer = behind.server.bearer()
    async with behind.edge.client.post(
        f"{behind.edge.url}/v1/ai/chat", json=_CHAT, headers=bearer
    ) as answer:
        last = ""
        async for line in answer.content:
            if line.startswith(b"id: "):
                last = line[4:].strip().decode()
            if line == b'data: {"content":"one"}\n':
                break
        answer.close()
    second.set()
    stream = last.partition(":")[0]
    async with behind.edge.client.get(
        f"{behind.edge.url}/v1/ai/chat/streams/{stream}",
        headers={**bearer, "Last-Event-ID": last},
    ) as rest:
        events = sse_events(await rest.read())
    assert answer_text(events[:-1]) == "two"
    assert events[-1] == "[DONE]"


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_the_server_learns_that_a_client_has_left(behind: Behind, version: str) -> None:
    behind.openrouter.script(Reply(content=["one", "two"], stall_after=1))
    async with behind.edge.curling(
        *(version, "--json", json.dumps(_CHAT)),
        *("--header", f"Authorization: {behind.server.bearer()['Authorization']}"),
        f"{behind.edge.url}/v1/ai/chat",
    ) as curl:
        await told(curl.stdout, "one")
        assert (await health(behind))["active_connections"] == 1
    async with asyncio.timeout(30):
        while (await health(behind))["active_connections"]:
            pass


async def health(behind: Behind) -> dict[str, Any]:
    """What the server says of itself, through its edge."""
    async with behind.edge.client.get(f"{behind.edge.url}/health") as answer:
        assert answer.status == 200
        data: dict[str, Any] = (await answer.json())["data"]
        return data


async def test_a_client_is_its_own_address_whatever_it_says(behind: Behind) -> None:
    async def ask(client: aiohttp.ClientSession, number: int) -> int:
        hearsay = f"203.0.113.{number}"
        headers = {"X-Forwarded-For": hearsay, "Forwarded": f"for={hearsay}", "X-Real-IP": hearsay}
        async with client.get(f"{behind.edge.url}/", headers=headers) as answer:
            return answer.status

    authority = behind.edge.authority
    async with (
        client_of(authority, address="127.0.0.2") as one,
        client_of(authority, address="127.0.0.3") as other,
    ):
        assert [await ask(one, number) for number in range(5)] == [200, 200, 200, 429, 429]
        assert await ask(other, 1) == 200


async def test_what_every_answer_says(behind: Behind) -> None:
    async with behind.edge.client.get(f"{behind.edge.url}/v1/nothing") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "NOT_FOUND"
        assert answer.headers.getall(_HSTS) == ["max-age=31536000"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Request-ID"]
        assert "Python" not in answer.headers.get("Server", "")
    out = await behind.edge.curl("--head", f"{behind.edge.url}/")
    assert out.startswith(b"HTTP/2 200")


async def test_who_comes_without_tls_is_sent_on(behind: Behind) -> None:
    async with behind.edge.client.post(
        f"{behind.edge.plain_url}/v1/ai/chat?profile=bare", allow_redirects=False
    ) as answer:
        assert answer.status == 308
        place = urlsplit(answer.headers["Location"])
    assert (place.scheme, place.hostname) == ("https", "localhost")
    assert f"{place.path}?{place.query}" == "/v1/ai/chat?profile=bare"


async def test_lists_are_packed_and_known_again(behind: Behind) -> None:
    url = f"{behind.edge.url}/v1/ai/models"
    headers = {**behind.server.bearer(), "Accept-Encoding": "gzip"}
    for profile in ("envelope", "bare"):
        own = {**headers, "Accept": f"application/json; profile={profile}"}
        async with behind.edge.client.get(url, headers=own) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert f"profile={profile}" in answer.headers["Content-Type"]
            tag = answer.headers["ETag"]
        async with behind.edge.client.get(url, headers={**own, "If-None-Match": tag}) as answer:
            assert answer.status == 304


async def test_a_long_token_passes(behind: Behind) -> None:
    headers = {"Authorization": f"Bearer {'x' * 12_000}"}
    async with behind.edge.client.get(
        f"{behind.edge.url}/v1/user/status", headers=headers
    ) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "INVALID_TOKEN")


async def test_without_a_server_the_edge_speaks_for_it(behind: Behind) -> None:
    await behind.server.runner.cleanup()
    for method in ("GET", "POST"):
        async with behind.edge.client.request(method, f"{behind.edge.url}/v1/ai/chat") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "5"
            assert answer.headers.getall(_HSTS) == ["max-age=31536000"]
            body = await answer.json()
    assert body["error"]["code"] == "SERVICE_UNAVAILABLE"
    assert body["detail"] == body["error"]["message"]


async def test_a_request_is_never_sent_twice(behind: Behind) -> None:
    """The server takes the question and dies before its answer begins."""
    seen = 0

    async def take_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        await reader.readuntil(b"\r\n\r\n")
        seen += 1
        writer.close()

    host, port = behind.server.runner.addresses[0][:2]
    await behind.server.runner.cleanup()
    stand_in = await asyncio.start_server(take_and_close, host, port, reuse_address=True)
    async with (
        stand_in,
        behind.edge.client.post(
            f"{behind.edge.url}/v1/ai/chat",
            json=_CHAT,
            headers={"Idempotency-Key": "once"},
        ) as answer,
    ):
        assert answer.status == 503
    assert seen == 1
