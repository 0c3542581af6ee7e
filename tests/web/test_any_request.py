"""Whatever is sent, the answer is in the contract: never a 500, never a shape of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.raw_http import RawAnswer, raw_connection, request_bytes
from tests.web.sending import GOOD, PATH

# One server for all examples: it keeps nothing of them.
shared_server = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
content_types = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=\u00e9",
        "text/plain",
        "",
    ]
) | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=40)
encodings = st.sampled_from(["gzip", "deflate", "identity"])
form_pieces = st.sampled_from(
    [
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Disposition: form-data; name=message\r\n",
        b'Content-Disposition: form-data; name="images"; filename="a.png"\r\n',
        b"Content-Disposition: attachment\r\n",
        b"Content-Type: multipart/mixed; boundary=c\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Encoding: gzip\r\n",
        b"\x89PNG\r\n\x1a\n",
        b"--c\r\n",
    ]
)


@pytest.fixture
async def patient(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server with high limits, which soon gives up a body that does not end."""
    async with start_server(
        CHUK_LIMIT_CHAT="100000",
        CHUK_LIMIT_OTHER="100000",
        CHUK_LIMIT_ADDRESS="100000",
        CHUK_SERVER_BODY_TIMEOUT="0.2",
    ) as server:
        yield server


async def answer_to(server: RunningServer, sent: bytes) -> RawAnswer:
    """What one request is answered with."""
    async with raw_connection(server.url) as connection:
        await connection.send(sent)
        return await connection.answer()


def assert_in_contract(answer: RawAnswer) -> None:
    """A success, or an error of the caller's in the envelope."""
    if answer.status == 200:
        return
    assert answer.status < 500, answer.body
    assert answer.header("Content-Type") == "application/json; profile=envelope"
    assert answer.header("X-Request-ID")
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "details"}
    assert isinstance(body["error"]["details"], dict)


async def send_body(
    server: RunningServer, content_type: str, body: bytes, encoding: str | None = None
) -> RawAnswer:
    """A chat request with this body."""
    headers = {**server.bearer(), "Content-Type": content_type}
    headers["Content-Length"] = str(len(body))
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    return await answer_to(server, request_bytes("POST", PATH, headers, body))


@shared_server
@given(content_type=content_types, body=st.binary(max_size=300), encoding=st.none() | encodings)
async def test_any_bytes_as_a_body(
    patient: RunningServer, content_type: str, body: bytes, encoding: str | None
) -> None:
    assert_in_contract(await send_body(patient, content_type, body, encoding))


# aiohttp warns of odd headers of parts; the log takes warnings without what they quote.
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionParam")
@shared_server
@given(pieces=st.lists(form_pieces | st.binary(max_size=20), max_size=20))
async def test_any_pieces_of_a_form(patient: RunningServer, pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    assert_in_contract(await send_body(patient, "multipart/form-data; boundary=b", body))


@shared_server
@given(
    fields=st.dictionaries(
        st.sampled_from(
            [
                "message",
                "provider_slug",
                "provider",
                "max_tokens",
                "temperature",
                "history",
                "system_prompt",
                "reasoning_effort",
                "allow_provider_fallbacks",
                "images",
                "metadata",
            ]
        )
        | st.text(max_size=10),
        json_values,
        max_size=4,
    )
)
async def test_any_json_in_any_field(patient: RunningServer, fields: dict[str, object]) -> None:
    try:
        body = orjson.dumps({**GOOD, **fields})
    except TypeError:
        # Lone surrogates and numbers over 64 bits are no JSON that orjson would send.
        return
    assert_in_contract(await send_body(patient, "application/json", body))


@shared_server
@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40))
async def test_any_query(patient: RunningServer, query: str) -> None:
    path = "/v1/ai/config?model_id=" + query
    assert_in_contract(await answer_to(patient, request_bytes("GET", path, patient.bearer())))


@shared_server
@given(
    path=st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
)
async def test_any_path(patient: RunningServer, path: str, method: str) -> None:
    async with raw_connection(patient.url) as connection:
        await connection.send(request_bytes(method, f"/{path}"))
        answer = await connection.answer(has_body=method != "HEAD")
    if method != "HEAD":
        assert_in_contract(answer)
    assert answer.status < 500


@shared_server
@given(sent=st.binary(min_size=1, max_size=200))
async def test_any_bytes_on_the_line(patient: RunningServer, sent: bytes) -> None:
    async with raw_connection(patient.url) as connection:
        await connection.send(sent + b"\r\n\r\n")
        connection.send_eof()
        if not await connection.is_closed_by_server():
            # The first byte of an answer.
            return
    async with patient.client.get(f"{patient.url}/health") as answer:
        assert answer.status == 200
