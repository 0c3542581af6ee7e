"""Errors as OpenAI's library raises them, on every path of its API."""

from __future__ import annotations

from typing import Any

import pytest
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)

from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer
from tests.openai_face.clients import HELLO, client_of, receipts_of


async def test_a_wrong_key_is_an_authentication_error(server: RunningServer) -> None:
    async with client_of(server, api_key="sk-wrong") as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "invalid_api_key" and caught.value.status_code == 401
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    assert caught.value.response.headers["www-authenticate"] == "Bearer"


async def test_an_expired_token_says_so(server: RunningServer) -> None:
    async with client_of(server, api_key=server.token(seconds=-60)) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.models.list()
    assert caught.value.code == "token_expired"


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.chat.completions.create(model="nobody/nothing", messages=HELLO)
    assert caught.value.code == "model_not_found" and caught.value.param == "model"


@pytest.mark.parametrize("path", ["/completions", "/responses", "/moderations", "/images/edits"])
async def test_what_is_not_served_is_not_found(client: AsyncOpenAI, path: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.post(path, body={"model": MODEL}, cast_to=object)
    assert caught.value.type == "invalid_request_error"


async def test_errors_have_openais_four_fields_and_ours_apart(server: RunningServer) -> None:
    async with server.client.get(
        f"{server.url}/v1/chat/completions",
        headers={**server.bearer(), "Accept": "application/json; profile=bare"},
    ) as answer:
        assert answer.status == 405 and answer.headers["Allow"] == "POST"
        assert answer.headers["Content-Type"] == "application/json"
        assert await answer.json() == {
            "error": {
                "message": "This address does not accept this method.",
                "type": "invalid_request_error",
                "param": None,
                "code": "method_not_supported",
                "chuk": {"code": "METHOD_NOT_ALLOWED", "details": {"allowed": ["POST"]}},
            }
        }


async def test_a_body_that_is_no_json_is_a_bad_request(server: RunningServer) -> None:
    async with server.client.post(
        f"{server.url}/v1/chat/completions", data=b"{", headers=server.bearer()
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_what_no_middleware_ever_sees_is_a_bad_request_too(server: RunningServer) -> None:
    async with server.client.get(
        f"{server.url}/v1/responses", headers={"Expect": "nonsense"}
    ) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_a_body_that_is_too_large_is_a_413(server: RunningServer) -> None:
    async with server.client.post(
        f"{server.url}/v1/images/generations", data=b"x" * 100_000, headers=server.bearer()
    ) as answer:
        assert answer.status == 413
        assert (await answer.json())["error"]["code"] == "request_too_large"


async def test_over_the_limit_is_a_rate_limit_error_that_says_when(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LIMIT_CHAT="1") as server, client_of(server) as client:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
        with pytest.raises(RateLimitError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "rate_limit_exceeded" and caught.value.type == "requests"
    assert int(caught.value.response.headers["retry-after"]) > 0
    assert "x-should-retry" not in caught.value.response.headers


@pytest.mark.parametrize("stream", [True, False])
async def test_without_credits_the_quota_is_insufficient_and_nobody_tries_again(
    start_server: StartServer, openrouter: FakeOpenRouter, *, stream: bool
) -> None:
    async with start_server(euros=0) as server:
        async with client_of(server, max_retries=3) as client:
            for _ in range(10):  # the free messages
                await client.chat.completions.create(model=MODEL, messages=HELLO)
            with pytest.raises(RateLimitError) as caught:
                await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
        assert caught.value.code == "insufficient_quota"
        body: Any = caught.value.body
        assert body["chuk"]["code"] == "INSUFFICIENT_CREDITS"
    assert len(openrouter.completions) == 10


async def test_too_long_a_talk_says_so_in_openais_word(client: AsyncOpenAI) -> None:
    talk: list[Any] = [{"role": "user", "content": "word " * 300_000}]
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=talk)
    assert caught.value.code == "context_length_exceeded"
    # Other libraries know it by these words alone.
    assert "This model's maximum context length is 131072 tokens" in caught.value.message
    assert caught.value.param == "messages"


@pytest.mark.parametrize("stream", [True, False])
async def test_the_library_tries_again_where_upstream_failed(
    server: RunningServer, openrouter: FakeOpenRouter, *, stream: bool
) -> None:
    openrouter.script(Reply(status=500), Reply(content=["Hi"]))
    async with client_of(server, max_retries=1) as client:
        await client.chat.completions.create(model=MODEL, messages=HELLO, stream=stream)
    assert len(openrouter.completions) == 2


@pytest.mark.parametrize("code", [429, 502, 504])
async def test_nobody_pays_twice_because_the_library_tries_again(
    server: RunningServer, openrouter: FakeOpenRouter, code: int
) -> None:
    openrouter.script(Reply(content=["Hi ", "you"], stream_error={"code": code, "message": "x"}))
    async with client_of(server, max_retries=2) as client:
        with pytest.raises(APIStatusError):
            await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert len(openrouter.completions) == 1
    (receipt,) = await receipts_of(server)
    assert receipt["charged_eur"] > 0


async def test_what_upstream_does_not_accept_is_a_bad_request(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(status=400, error={"code": 400, "message": "Invalid schema"}))
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "request_refused"


async def test_upstreams_failure_is_a_server_error(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(status=401))
    with pytest.raises(InternalServerError) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.status_code == 502 and caught.value.code == "provider_error"
