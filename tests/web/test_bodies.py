"""Bodies that are too large, too slow, or not wanted: refused, and the server goes on."""

from __future__ import annotations

import json

import pytest

from tests.conftest import StartServer
from tests.harness import RunningServer, sse_events
from tests.raw_http import raw_connection, request_bytes
from tests.web.sending import (
    GOOD,
    MAX,
    PATH,
    chunked,
    error_code,
    head,
    lives_on,
)


async def test_a_body_that_says_it_is_too_large_is_refused_unread(small: RunningServer) -> None:
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Content_Length=str(MAX + 1)))
        answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")
        details = answer.json()["error"]["details"]
        assert (details["max_size_bytes"], details["file_size_bytes"]) == (MAX, MAX + 1)
        # It is read past, so that a client that goes on sending gets its answer.
        await connection.send(b"x" * (MAX + 1))
        await lives_on(small, connection)


async def test_a_body_without_a_length_is_counted(small: RunningServer) -> None:
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Transfer_Encoding="chunked"))
        await connection.send(chunked(*[b" " * 10_000] * 11))
        answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")
        await lives_on(small, connection)


async def test_a_body_of_just_the_limit_is_read(small: RunningServer) -> None:
    body = json.dumps(GOOD).encode()
    body += b" " * (MAX - len(body))
    async with small.client.post(
        f"{small.url}{PATH}",
        data=body,
        headers={**small.bearer(), "Content-Type": "application/json"},
    ) as answer:
        assert answer.status == 200
        assert sse_events(await answer.read())[-1] == "[DONE]"


async def test_a_body_that_never_ends_is_given_up(start_server: StartServer) -> None:
    async with start_server(CHUK_SERVER_BODY_TIMEOUT="0.2") as server:
        async with raw_connection(server.url) as connection:
            await connection.send(head(server, Content_Length="1000") + b'{"model_id"')
            answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (400, "INVALID_REQUEST")
        assert "too long to arrive" in answer.json()["error"]["message"]
        await lives_on(server)


async def test_a_client_that_leaves_inside_its_body_disturbs_nobody(
    small: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for pieces in ([b'{"model_id"'], [b'{"model_id"', b"x" * 20_000]):
        async with raw_connection(small.url) as connection:
            await connection.send(head(small, Content_Length="50000") + b"".join(pieces))
    await lives_on(small)
    assert "failure" not in "".join(capsys.readouterr())


async def test_half_a_chunked_body_is_malformed(small: RunningServer) -> None:
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Transfer_Encoding="chunked") + b'5\r\n{"a"\r\nzz\r\n')
        answer = await connection.answer()
    assert (answer.status, error_code(answer)) == (400, "INVALID_REQUEST")
    await lives_on(small)


async def test_a_body_is_asked_for_when_it_is_wanted(small: RunningServer) -> None:
    body = json.dumps(GOOD).encode()
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Expect="100-continue", Content_Length=str(len(body))))
        assert (await connection.answer()).status == 100
        await connection.send(body)
        answer = await connection.answer()
    assert answer.status == 200
    assert sse_events(answer.body)[-1] == "[DONE]"


@pytest.mark.parametrize(
    ("signed_in", "length", "status"), [(True, MAX + 1, 413), (False, 100, 401)]
)
async def test_a_body_that_is_refused_is_not_asked_for(
    small: RunningServer, signed_in: bool, length: int, status: int
) -> None:
    headers = small.bearer() if signed_in else {}
    headers |= {"Expect": "100-continue", "Content-Length": str(length)}
    async with raw_connection(small.url) as connection:
        await connection.send(request_bytes("POST", PATH, headers))
        answer = await connection.answer()
    assert answer.status == status
    error_code(answer)


async def test_bodies_of_routes_that_take_none_are_bounded_too(server: RunningServer) -> None:
    async with raw_connection(server.url) as connection:
        headers = {**server.bearer(), "Content-Length": "1000000"}
        await connection.send(request_bytes("GET", "/v1/ai/models", headers))
        answer = await connection.answer()
    assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")


async def test_two_requests_in_one_packet_get_two_answers(small: RunningServer) -> None:
    bad = head(small, Content_Length="1") + b"{"
    async with raw_connection(small.url) as connection:
        await connection.send(bad + bad + request_bytes("GET", "/health"))
        statuses = [(await connection.answer()).status for _ in range(3)]
    assert statuses == [400, 400, 200]
