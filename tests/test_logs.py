"""The log has one line for each request, and nothing that anybody said."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.openrouter_replies import Fault
from tests.harness import MODEL, openrouter_environ
from tests.processes import ServerProcess, log_lines, run_chuk, served
from tests.raw_http import raw_connection, request_bytes

_MARK = "marker"
_USER = "00000000-0000-4000-8000-000000000001"
_SALTED = re.compile("[0-9a-f]{16}")


def mark(where: str) -> str:
    """A text that would tell where a leak is from."""
    return f"{_MARK}-{where}"


class Speaker:
    """Somebody who puts a marker wherever a text can be put.

    Attributes:
        sent: id, method, route and status of every request that has a line of its own.
    """

    def __init__(self, server: ServerProcess, client: aiohttp.ClientSession, token: str) -> None:
        self.sent: list[tuple[str, str, str | None, int]] = []
        self._server = server
        self._client = client
        self._token = token

    async def ask(self, method: str, path: str, route: str | None, **options: Any) -> None:
        """One request, with an id that names its place in the order."""
        request_id = f"request-{len(self.sent)}"
        headers = {
            "Authorization": f"Bearer {self._token}",
            "X-Request-ID": request_id,
            "User-Agent": mark("agent"),
            "Referer": f"https://{mark('referer')}.example/",
            "Cookie": mark("cookie"),
            **options.pop("headers", {}),
        }
        async with self._client.request(
            method, f"{self._server.url}{path}", headers=headers, **options
        ) as answer:
            await answer.read()
            self.sent.append((request_id, method, route, answer.status))

    async def chat(self, **fields: Any) -> None:
        """One turn, or what is refused instead of it."""
        body = {
            "model_id": MODEL,
            "message": mark("message"),
            "system_prompt": mark("system"),
            "history": [{"role": "user", "content": mark("history")}],
            "metadata": {"place": mark("metadata")},
            **fields,
        }
        await self.ask("POST", "/v1/ai/chat", "/v1/ai/chat", json=body)


async def good_and_bad(speaker: Speaker, openrouter: FakeOpenRouter) -> None:
    """A spread of requests."""
    await speaker.chat()
    await speaker.chat(model_id=mark("model"))
    await speaker.chat(provider_slug=mark("provider"))
    await speaker.chat(temperature=mark("temperature"))
    await speaker.chat(history=[{"role": mark("role"), "content": mark("content")}])
    await speaker.chat(images=[f"data:{mark('image')};base64,AAAA"])
    for reply in (
        Reply(status=400, error={"message": mark("refusal"), "code": 400}),
        Reply(status=500, error={"message": mark("refusal"), "code": 500}),
        Reply(content=[mark("answer")], stream_error={"message": mark("late"), "code": 502}),
        Reply(raw=[mark("garbage").encode(), b"data: {" + mark("json").encode() + b"\n\n"]),
    ):
        openrouter.script(reply)
        await speaker.chat()
    form = {"model_id": MODEL, "message": mark("form"), "history": mark("no json")}
    await speaker.ask("POST", "/v1/ai/chat", "/v1/ai/chat", data=form)
    odd = aiohttp.FormData()
    odd.add_field(mark("field"), b"x", filename=mark("file"), content_type="text/plain")
    await speaker.ask("POST", "/v1/ai/chat", "/v1/ai/chat", data=odd)
    for content_type in ("application/json", mark("type") + "/plain"):
        await speaker.ask(
            "POST",
            "/v1/ai/chat",
            "/v1/ai/chat",
            data=b'{"message": "' + mark("broken").encode() + b"\xff",
            headers={"Content-Type": content_type},
        )
    await speaker.ask("GET", f"/{mark('path')}?{mark('query')}=1", None)
    await speaker.ask("GET", f"/v1/ai/{mark('path')}", None)
    await speaker.ask("PUT", "/v1/ai/models", None, data=mark("body"))
    await speaker.ask("GET", f"/v1/ai/models?{mark('query')}", "/v1/ai/models")
    await speaker.ask("GET", f"/v1/ai/config?model_id={mark('query')}", "/v1/ai/config")
    await speaker.ask("GET", "/", "/")
    await speaker.ask("GET", "/health", "/health")
    await speaker.ask("GET", "/v1/user/status", "/v1/user/status")
    for token in (mark("token"), f"{mark('a')}.{mark('b')}.{mark('c')}"):
        headers = {"Authorization": f"Bearer {token}"}
        await speaker.ask("GET", "/v1/ai/models", "/v1/ai/models", headers=headers)


async def by_hand(url: str) -> None:
    """What is no request, or not finished."""
    marked = mark("raw").encode()
    for sent in (
        marked + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + marked + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + marked + b"a" * 20_000 + b"\r\n\r\n",
        request_bytes("PUT", "/", {"Expect": mark("expectation")}),
        request_bytes("POST", "/webhooks/stripe", {"Content-Length": "900"}, marked),
    ):
        async with raw_connection(url) as connection:
            await connection.send(sent)
            await connection.answer()
    form = b"--b\r\nContent-Disposition: " + marked + b";;==\r\n\r\n" + marked + b"\r\n--b--\r\n"
    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(len(form)),
    }
    async with raw_connection(url) as connection:
        await connection.send(request_bytes("POST", "/v1/ai/chat", headers, form))
        await connection.answer()


async def over_a_socket(client: aiohttp.ClientSession, url: str, token: str) -> None:
    """A turn, and messages that are none."""
    query = f"?profile=bare&token={mark('query')}"
    async with client.ws_connect(f"{url}/v1/ai/chat/ws{query}") as socket:
        await socket.send_json(
            {"token": token, "model_id": MODEL, "message": mark("message"), "id": mark("id")}
        )
        async with asyncio.timeout(30):
            while "done" not in await socket.receive_json():
                pass
        for text in (mark("no json"), '{"token": "' + mark("token") + '", "message": "x"}'):
            await socket.send_str(text)
            await socket.receive_json()


async def test_nothing_that_was_said_is_in_the_log(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    token = (await run_chuk("token", folder=tmp_path)).out.strip()
    openrouter.fail(
        "/models/google/gemma-3-27b-it/endpoints", Fault(status=500, body=mark("page").encode())
    )
    environ = openrouter_environ(openrouter) | {"CHUK_LOG_LEVEL": "debug"}
    async with (
        served(tmp_path, environ) as server,
        aiohttp.ClientSession() as client,
    ):
        await server.well(client)
        speaker = Speaker(server, client, token)
        await good_and_bad(speaker, openrouter)
        await by_hand(server.url)
        await over_a_socket(client, server.url, token)
        done = await server.stop(signal.SIGTERM)
    assert done.code == 0
    assert _MARK not in done.err
    for secret in (token, token.split(".")[1], openrouter.api_key, _USER, "127.0.0.1"):
        assert secret not in done.err.replace(openrouter.base_url, "")
    assert "Traceback" not in done.err

    lines = log_lines(done.err)
    by_id = {line["id"]: line for line in lines if line["event"] == "request"}
    for request_id, method, route, status in speaker.sent:
        line = by_id[request_id]
        assert (line["method"], line["route"], line["status"]) == (method, route, status)
        assert isinstance(line["ms"], float) and line["ms"] >= 0
        assert line["timestamp"].endswith("Z")
    assert len(by_id) == len([line for line in lines if line["event"] == "request"])
    users = {line["user"] for line in by_id.values()}
    (user,) = users - {None}
    assert _SALTED.fullmatch(user)


_LOST_TASK = """
async def lost():
    raise ValueError("marker")

async def main():
    task = asyncio.ensure_future(lost())
    await asyncio.wait([task])
    del task

asyncio.run(main())
gc.collect()
"""
_EXCEPTION = """
try:
    raise ValueError("marker")
except ValueError:
    logging.getLogger("aiohttp.server").exception("Failed")
"""


@pytest.mark.parametrize(
    "body",
    [
        # asyncio puts the exception's text into its own.
        _LOST_TASK,
        _EXCEPTION,
        "warnings.warn('marker', RuntimeWarning)",
        "logging.getLogger('aiohttp.server').warning('From %s', 'marker')",
    ],
    ids=["lost task", "exception", "warning", "argument"],
)
async def test_what_libraries_say_is_logged_without_what_they_quote(body: str) -> None:
    program = (
        "import asyncio, gc, logging, warnings\n"
        "from chuk.logs import configure\n"
        f"configure(level='debug', json=True)\n{body}"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "always",
        "-c",
        program,
        cwd=Path(__file__).parent.parent,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    (line,) = log_lines(err.decode())
    assert line["event"] == "library" and line["library"]
    assert _MARK not in err.decode()
