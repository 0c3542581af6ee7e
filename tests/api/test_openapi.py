"""The OpenAPI document is valid, complete, and true."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import hdrs
from openapi_spec_validator import OpenAPIV31SpecValidator

from chuk.api.keys import HEALTH
from chuk.web.envelope import CHOICES, Profile, is_openai_path
from tests.api.openai_calls import OPENAI_CALLS
from tests.api.openapi_document import Call, Document
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.supabase_auth import FakeSupabaseAuth
from tests.harness import MODEL, RunningServer
from tests.media.recordings import silence
from tests.web.sending import FORM_DATA, part

_CHAT = {"model_id": MODEL, "message": "Hello"}
_FILE = part(b'Content-Disposition: form-data; name="file"; filename="a"', b"Hi") + b"--b--\r\n"
_VOICE_PART = b'Content-Disposition: form-data; name="audio_file"; filename="a"'
_VOICE = part(_VOICE_PART, silence(1)) + b"--b--\r\n"
_NO_VOICE = part(_VOICE_PART, b"\x7fELF") + b"--b--\r\n"
_FORM = {"Content-Type": FORM_DATA}
_IMAGE = {"prompt": "a hill", "custom_width": 64, "custom_height": 64}


@pytest.fixture
async def document(server: RunningServer) -> Document:
    """What the server says of itself."""
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/vnd.oai.openapi+json"
        return Document(json.loads(await answer.read()))


CALLS = [
    *OPENAI_CALLS,
    Call("GET", "/", 200),
    Call("GET", "/health", 200),
    Call("GET", "/openapi.json", 200),
    Call("GET", "/docs", 413, data=b"x" * 70_000),
    Call("GET", "/docs/{name}", 404, signed_in=False),
    Call("GET", "/console", 413, data=b"x" * 70_000),
    Call("GET", "/console/{name}", 404, signed_in=False),
    Call("GET", "/v1/models_info", 200),
    Call("GET", "/v1/ai/models", 200),
    Call("GET", "/v1/ai/models", 401, signed_in=False),
    Call("GET", "/v1/ai/models", 401, headers={"Authorization": "Bearer a.b.c"}),
    Call("GET", "/v1/ai/models", 413, data=b"x" * 70_000),
    Call("GET", "/v1/ai/config", 200),
    Call("GET", "/v1/ai/config", 200, query=f"?model_id={MODEL}"),
    Call("GET", "/v1/ai/config", 400, query="?model_id="),
    Call("GET", "/v1/ai/config", 404, query="?model_id=nobody/knows"),
    Call("POST", "/v1/ai/chat", 400, json={}),
    Call("POST", "/v1/ai/chat", 401, json=_CHAT, signed_in=False),
    Call("POST", "/v1/ai/chat", 404, json={**_CHAT, "model_id": "nobody/knows"}),
    Call("POST", "/v1/ai/chat", 415, data="plain", headers={"Content-Type": "text/plain"}),
    Call("GET", "/v1/ai/chat/ws", 400),
    Call("GET", "/v1/ai/chat/streams", 200),
    Call("GET", "/v1/ai/chat/streams", 401, signed_in=False),
    Call("GET", "/v1/ai/chat/streams/{id}", 404),
    Call("DELETE", "/v1/ai/chat/streams/{id}", 404),
    Call("POST", "/v1/ai/quote", 200, json=_CHAT),
    Call("POST", "/v1/ai/quote", 400, json={}),
    Call("POST", "/v1/ai/quote", 401, json=_CHAT, signed_in=False),
    Call("POST", "/v1/ai/quote", 404, json={**_CHAT, "model_id": "nobody/knows"}),
    Call("POST", "/v1/ai/quote", 415, data="plain", headers={"Content-Type": "text/plain"}),
    Call("POST", "/v1/ai/generate-image", 200, json=_IMAGE),
    Call("POST", "/v1/ai/generate-image", 400, json={}),
    Call("POST", "/v1/ai/generate-image", 400, json={"prompt": ""}),
    Call("POST", "/v1/ai/generate-image", 401, json=_IMAGE, signed_in=False),
    Call("POST", "/v1/ai/generate-image", 415, data="x", headers={"Content-Type": "text/plain"}),
    Call("GET", "/v1/ai/images/{name}", 404, signed_in=False),
    Call("POST", "/v1/ai/convert-file", 200, data=_FILE, headers=_FORM),
    Call("POST", "/v1/ai/convert-file", 400, json={}),
    Call("POST", "/v1/ai/convert-file", 401, data=_FILE, headers=_FORM, signed_in=False),
    Call("POST", "/v1/ai/convert-file", 415, data=_FILE.replace(b"Hi", b"\0\1"), headers=_FORM),
    Call("POST", "/v1/ai/inworld-tts", 400, json={}),
    Call("POST", "/v1/ai/inworld-tts", 401, json={"text": "Yes."}, signed_in=False),
    Call("POST", "/v1/ai/inworld-tts", 415, data="x", headers={"Content-Type": "text/plain"}),
    Call("POST", "/v1/ai/transcribe-audio", 200, data=_VOICE, headers=_FORM),
    Call("POST", "/v1/ai/transcribe-audio", 400, json={}),
    Call("POST", "/v1/ai/transcribe-audio", 401, data=_VOICE, headers=_FORM, signed_in=False),
    Call("POST", "/v1/ai/transcribe-audio", 415, data=_NO_VOICE, headers=_FORM),
    Call("GET", "/v1/user/status", 200),
    Call("GET", "/v1/user/status", 401, signed_in=False),
    Call("GET", "/v1/user/usage", 200),
    Call("GET", "/v1/user/usage", 200, query="?by=day"),
    Call("GET", "/v1/user/usage", 400, query="?limit=0"),
    Call("GET", "/v1/user/spending-cap", 200),
    Call("PUT", "/v1/user/spending-cap", 200, json={"daily_eur": 1.5, "monthly_eur": None}),
    Call("PUT", "/v1/user/spending-cap", 400, json={}),
    Call("PUT", "/v1/user/spending-cap", 415, data="x", headers={"Content-Type": "text/plain"}),
    Call("POST", "/v1/user/api-keys", 200, json={"name": "a"}),
    Call("POST", "/v1/user/api-keys", 400, json={}),
    Call("POST", "/v1/user/api-keys", 401, json={"name": "a"}, signed_in=False),
    Call("POST", "/v1/user/api-keys", 415, data="x", headers={"Content-Type": "text/plain"}),
    Call("GET", "/v1/user/api-keys", 200),
    Call("DELETE", "/v1/user/api-keys/{key_id}", 404),
    Call("DELETE", "/v1/user/delete-account", 401, signed_in=False),
    Call("POST", "/v1/stripe/create-checkout-session", 503),
    Call("POST", "/v1/stripe/create-portal-session", 503),
    Call("POST", "/v1/stripe/sync-subscription", 503),
    Call("POST", "/webhooks/stripe", 503),
]


async def ask(server: RunningServer, call: Call, profile: Profile) -> tuple[str, Any]:
    """The content type and the parsed body of an answer."""
    headers = {"Accept": profile.content_type}
    if call.signed_in:
        headers |= server.bearer()
    async with server.client.request(
        call.method,
        f"{server.url}{call.path}{call.query}",
        json=call.json,
        data=call.data,
        headers=headers | call.headers,
    ) as answer:
        assert answer.status == call.status, await answer.text()
        return answer.headers["Content-Type"], json.loads(await answer.read())


async def agrees(server: RunningServer, call: Call) -> None:
    """In both profiles the answer is as the server's own document says."""
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document = Document(json.loads(await answer.read()))
    for profile in CHOICES:
        content_type, body = await ask(server, call, profile)
        document.check(call.method, call.path, call.status, content_type, body)


def test_there_is_a_call_for_every_route(document: Document) -> None:
    assert {(call.method, call.path) for call in CALLS} == set(document.operations)


async def test_the_document_is_valid_openapi_3_1(document: Document) -> None:
    assert document.all["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document.all).validate()
    ids = [operation["operationId"] for operation in document.operations.values()]
    assert len(set(ids)) == len(ids)


async def test_every_route_is_in_the_document_and_nothing_else(
    server: RunningServer, document: Document
) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in server.app.router.routes()
        if route.resource is not None and route.method != hdrs.METH_HEAD
    }
    assert served == set(document.operations)


async def test_every_route_tells_its_errors_in_its_profiles(document: Document) -> None:
    for (method, path), operation in document.operations.items():
        for status in operation["responses"]:
            if int(status) >= 400:
                profiles = (Profile.OPENAI,) if is_openai_path(path) else CHOICES
                for profile in profiles:
                    assert document.schema(method, path, int(status), profile.content_type)


@pytest.mark.parametrize("call", CALLS, ids=str)
async def test_answers_are_as_the_document_says(server: RunningServer, call: Call) -> None:
    await agrees(server, call)


@pytest.mark.parametrize("status", [400, 402, 404, 408, 429, 500, 503])
async def test_so_are_upstreams_refusals(
    server: RunningServer, openrouter: FakeOpenRouter, document: Document, status: int
) -> None:
    for profile in CHOICES:
        openrouter.script(Reply(status=status))
        async with server.client.post(
            f"{server.url}/v1/ai/chat",
            json=_CHAT,
            headers={**server.bearer(), "Accept": profile.content_type},
        ) as answer:
            assert answer.status != 200
            document.check(
                "POST",
                "/v1/ai/chat",
                answer.status,
                answer.headers["Content-Type"],
                await answer.json(),
            )


async def test_so_is_a_stream(server: RunningServer, document: Document) -> None:
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=_CHAT, headers=server.bearer()
    ) as answer:
        assert document.schema("POST", "/v1/ai/chat", answer.status, answer.content_type)
        await answer.read()


async def test_so_is_an_open_socket(server: RunningServer, document: Document) -> None:
    async with server.socket():
        assert "101" in document.operations["GET", "/v1/ai/chat/ws"]["responses"]


async def test_so_is_a_refused_origin(server: RunningServer) -> None:
    headers = {
        "Origin": "https://evil.example",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
    }
    await agrees(server, Call("GET", "/v1/ai/chat/ws", 403, headers=headers))


async def test_so_is_whatever_a_deleted_account_asks_for(
    server: RunningServer, document: Document
) -> None:
    gone = "/v1/user/delete-account"
    async with server.client.delete(f"{server.url}{gone}", headers=server.bearer()) as answer:
        assert answer.status == 200
    for (method, path), operation in document.operations.items():
        if operation.get("security") == [{"bearer": []}] and path != gone:
            real = re.sub("{.*}", "a", path)
            for profile in CHOICES:
                content_type, body = await ask(server, Call(method, real, 403), profile)
                document.check(method, path, 403, content_type, body)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v1/ai/models"), ("GET", "/v1/ai/chat/ws"), ("POST", "/v1/ai/chat")],
)
async def test_so_is_an_answer_over_the_limit(
    start_server: StartServer, method: str, path: str
) -> None:
    limits = dict.fromkeys(["CHUK_LIMIT_ADDRESS", "CHUK_LIMIT_OTHER", "CHUK_LIMIT_CHAT"], "2")
    async with start_server(**limits) as server:
        async with server.client.get(f"{server.url}/openapi.json") as answer:
            document = Document(json.loads(await answer.read()))
        call = Call(method, path, 429, json=None if method == "GET" else {})
        for _ in range(2):
            async with server.client.request(
                method, f"{server.url}{path}", json=call.json, headers=server.bearer()
            ):
                pass
        for profile in CHOICES:
            content_type, body = await ask(server, call, profile)
            document.check(method, path, 429, content_type, body)


async def test_so_is_a_server_that_cannot_check_tokens(start_server: StartServer) -> None:
    async with FakeSupabaseAuth() as project:
        project.add_key("k")
        project.status = 500
        async with start_server(SUPABASE_URL=project.url) as server:
            headers = {"Authorization": f"Bearer {project.token('k')}"}
            for path in ("/v1/ai/config", "/v1/user/status"):
                await agrees(server, Call("GET", path, 503, headers=headers, signed_in=False))


async def test_so_is_a_server_that_is_not_well(server: RunningServer) -> None:
    server.app[HEALTH].is_draining = True
    await agrees(server, Call("GET", "/health", 503))


@pytest.fixture
async def unready(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> AsyncIterator[RunningServer]:
    """A server that never got its models."""
    openrouter.api_key = "another"
    async with start_server(wait_until_ready=False, OPENROUTER_API_KEY="wrong") as server:
        yield server


@pytest.mark.parametrize("path", ["/health", "/v1/models_info", "/v1/ai/models"])
async def test_so_is_a_server_without_a_model_list(unready: RunningServer, path: str) -> None:
    await agrees(unready, Call("GET", path, 503))
