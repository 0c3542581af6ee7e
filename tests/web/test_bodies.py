"""Bodies of every bad kind: a clear error, at little cost, and the server goes on answering."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chuk.errors import InvalidRequest
from chuk.web.bodies import parse_json_object
from tests.conftest import StartServer
from tests.harness import MODEL, RunningServer, answer_text, sse_events
from tests.raw_http import RawAnswer, RawConnection, raw_connection, request_bytes

_PATH = "/v1/ai/chat"
_GOOD = {"model_id": MODEL, "message": "Hello"}
_MAX = 100_000


@pytest.fixture
async def small(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that takes bodies of 100 kB."""
    async with start_server(
        CHUK_CHAT_MESSAGE_MAX_BYTES=str(_MAX), CHUK_LIMIT_CHAT="10000"
    ) as server:
        yield server


def error_code(answer: RawAnswer) -> str:
    """The code of an error in the envelope."""
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"error"}
    code: str = body["error"]["code"]
    return code


def head(server: RunningServer, content_type: str = "application/json", **more: str) -> bytes:
    """The head of a chat request; underscores in names stand for dashes."""
    headers = {**server.bearer(), "Content-Type": content_type}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return request_bytes("POST", _PATH, headers)


def chunked(*pieces: bytes) -> bytes:
    """A body of which nobody knows the length beforehand."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def lives_on(server: RunningServer, connection: RawConnection | None = None) -> None:
    """The server still chats; so does this connection, where one is given."""
    if connection is not None:
        await connection.send(request_bytes("GET", "/health"))
        assert (await connection.answer()).status == 200
    assert answer_text(await server.chat("Hello"))


async def post(
    server: RunningServer, body: bytes, content_type: str | None = "application/json"
) -> tuple[int, dict[str, Any]]:
    """Status and error of a body that should not be taken; the connection must survive it."""
    headers = server.bearer()
    if content_type is not None:
        headers["Content-Type"] = content_type
    async with raw_connection(server.url) as connection:
        headers["Content-Length"] = str(len(body))
        await connection.send(request_bytes("POST", _PATH, headers, body))
        answer = await connection.answer()
        error_code(answer)
        await lives_on(server, connection)
    error: dict[str, Any] = answer.json()["error"]
    return answer.status, error


# Size.


async def test_a_body_that_says_it_is_too_large_is_refused_unread(small: RunningServer) -> None:
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Content_Length=str(_MAX + 1)))
        answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")
        details = answer.json()["error"]["details"]
        assert (details["max_size_bytes"], details["file_size_bytes"]) == (_MAX, _MAX + 1)
        # It is read past, so that a client that goes on sending gets its answer.
        await connection.send(b"x" * (_MAX + 1))
        await lives_on(small, connection)


async def test_a_body_without_a_length_is_counted(small: RunningServer) -> None:
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Transfer_Encoding="chunked"))
        await connection.send(chunked(*[b" " * 10_000] * 11))
        answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")
        await lives_on(small, connection)


async def test_a_body_of_just_the_limit_is_read(small: RunningServer) -> None:
    body = json.dumps(_GOOD).encode()
    body += b" " * (_MAX - len(body))
    async with small.client.post(
        f"{small.url}{_PATH}",
        data=body,
        headers={**small.bearer(), "Content-Type": "application/json"},
    ) as answer:
        assert answer.status == 200
        assert sse_events(await answer.read())[-1] == "[DONE]"


@pytest.mark.parametrize("size", [_MAX + 1, 200_000_000])
async def test_an_unpacked_body_is_counted_while_it_is_unpacked(
    small: RunningServer, size: int
) -> None:
    packer = zlib.compressobj(wbits=31)
    million = b" " * 1_000_000
    packed = b"".join(
        packer.compress(million[: min(len(million), size - start)])
        for start in range(0, size, len(million))
    )
    packed += packer.flush()
    packed = packed[:90_000]
    tracemalloc.start()
    try:
        async with raw_connection(small.url) as connection:
            await connection.send(
                head(small, Content_Encoding="gzip", Content_Length=str(len(packed))) + packed
            )
            answer = await connection.answer()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status in (400, 413)
    error_code(answer)
    assert peak < 40_000_000
    await lives_on(small)


async def test_a_packed_body_is_unpacked(small: RunningServer) -> None:
    async with small.client.post(
        f"{small.url}{_PATH}",
        data=gzip.compress(json.dumps(_GOOD).encode()),
        headers={
            **small.bearer(),
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        },
    ) as answer:
        assert answer.status == 200
        await answer.read()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "nonsense"])
async def test_a_body_packed_wrongly_is_malformed(small: RunningServer, encoding: str) -> None:
    async with raw_connection(small.url) as connection:
        body = b"this is packed by nobody"
        await connection.send(
            head(small, Content_Encoding=encoding, Content_Length=str(len(body))) + body
        )
        answer = await connection.answer()
    assert (answer.status, error_code(answer)) == (400, "INVALID_REQUEST")
    await lives_on(small)


# Time.


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


# Expect: 100-continue.


async def test_a_body_is_asked_for_when_it_is_wanted(small: RunningServer) -> None:
    body = json.dumps(_GOOD).encode()
    async with raw_connection(small.url) as connection:
        await connection.send(head(small, Expect="100-continue", Content_Length=str(len(body))))
        assert (await connection.answer()).status == 100
        await connection.send(body)
        answer = await connection.answer()
    assert answer.status == 200
    assert sse_events(answer.body)[-1] == "[DONE]"


@pytest.mark.parametrize(
    ("signed_in", "length", "status"), [(True, _MAX + 1, 413), (False, 100, 401)]
)
async def test_a_body_that_is_refused_is_not_asked_for(
    small: RunningServer, signed_in: bool, length: int, status: int
) -> None:
    headers = small.bearer() if signed_in else {}
    headers |= {"Expect": "100-continue", "Content-Length": str(length)}
    async with raw_connection(small.url) as connection:
        await connection.send(request_bytes("POST", _PATH, headers))
        answer = await connection.answer()
    assert answer.status == status
    error_code(answer)


# JSON.


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model_id": "a"',
        b'{"model_id": "a",}',
        b"{'model_id': 'a'}",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"{} {}",
        b'{"temperature": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": -Infinity}',
        b'{"message": "\xff\xfe"}',
        b'{"message": "\xed\xa0\x80"}',
        b'{"message": "\\ud800"}',
        b'{"message": "a\x00b"}',
        b"\xef\xbb\xbf{",
        '{"message": "ä"}'.encode("utf-16"),
        '{"message": "ä"}'.encode("latin-1"),
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"history": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", None])
async def test_what_is_no_json_object_is_a_400(
    small: RunningServer, body: bytes, content_type: str | None
) -> None:
    status, error = await post(small, body, content_type)
    assert (status, error["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("opening", [b"[", b"{", b"[0,", b"[[],", b'{"a":{},"b":'])
def test_millions_of_values_are_refused_before_they_are_made(opening: bytes) -> None:
    body = b'{"history":' + opening * 3_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            parse_json_object(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("name", ["history", "metadata"])
async def test_a_forms_json_field_is_bounded_like_a_json_body(
    server: RunningServer, name: str
) -> None:
    body = b"".join(field(name.encode(), value.encode()) for name, value in _GOOD.items())
    body += field(name.encode(), b"[" + b"0," * 1_000_000 + b"0]") + b"--b--\r\n"
    status, error = await post(server, body, _FORM_DATA)
    assert status == 400
    assert error["details"]["fields"].keys() == {name}


# Content types and forms.


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/mixed", "image/png", "json"]
)
async def test_another_content_type_is_a_415_that_names_the_right_ones(
    small: RunningServer, content_type: str
) -> None:
    status, error = await post(small, b"{}", content_type)
    assert (status, error["code"]) == (415, "UNSUPPORTED_FORMAT")
    assert error["details"]["supported"] == [
        "application/json",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
    ]


@pytest.mark.parametrize(
    "content_type",
    [
        "text/\xff",
        "\xff\xfe",
        "a" * 9_000 + "/b",
        ";;;",
        "/",
        "multipart/form-data",
    ],
)
async def test_a_strange_content_type_is_refused_like_any_other(
    small: RunningServer, content_type: str
) -> None:
    status, _ = await post(small, b"{}", content_type)
    assert status in (400, 415)


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "nonsense", "\xff"])
async def test_json_is_utf8_whatever_its_charset_is_called(
    small: RunningServer, charset: str
) -> None:
    body = json.dumps(_GOOD).encode()
    async with raw_connection(small.url) as connection:
        await connection.send(
            head(
                small,
                content_type=f"application/json; charset={charset}",
                Content_Length=str(len(body)),
            )
            + body
        )
        assert (await connection.answer()).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"message=a&message=b",
        b"message=%ff",
        b"message=\xff",
        b"&".join(b"f%d=1" % number for number in range(200)),
        b"message=" + b"%" * 1_000,
        b"&&&&",
        b"",
        b"=",
    ],
)
async def test_a_bad_form_is_a_400(small: RunningServer, body: bytes) -> None:
    status, error = await post(small, body, "application/x-www-form-urlencoded")
    assert (status, error["code"]) == (400, "INVALID_REQUEST")


async def test_a_field_given_twice_is_named(small: RunningServer) -> None:
    _, error = await post(
        small, b"message=a&model_id=b&message=c", "application/x-www-form-urlencoded"
    )
    assert error["details"] == {"fields": {"message": ["Given more than once."]}}


def part(headers: bytes, content: bytes) -> bytes:
    """One part of a multipart form."""
    return b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def field(name: bytes, content: bytes) -> bytes:
    """One text field of a multipart form."""
    return part(b'Content-Disposition: form-data; name="' + name + b'"', content)


_FORM_DATA = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", field(b"message", b"a") + b"--b--\r\n"),
        ("multipart/form-data; boundary=", b"----\r\n"),
        ("multipart/form-data; boundary=" + "b" * 200, b""),
        ("multipart/form-data; boundary=\xff", b"--\xff--"),
        (_FORM_DATA, b""),
        (_FORM_DATA, b"nonsense"),
        (_FORM_DATA, b"--b\r\n"),
        (_FORM_DATA, b"--b--\r\n"),
        (_FORM_DATA, b"--another--\r\n"),
        (_FORM_DATA, field(b"message", b"a")),
        (_FORM_DATA, field(b"message", b"a") * 2 + b"--b--\r\n"),
        (_FORM_DATA, field(b"message", b"\xff\xfe") + b"--b--\r\n"),
        (_FORM_DATA, field(b"\xff", b"a") * 2 + b"--b--\r\n"),
        (_FORM_DATA, field(b"f", b"a") * 101 + b"--b--\r\n"),
        (_FORM_DATA, part(b"Content-Type: text/plain", b"nameless") + b"--b--\r\n"),
        (_FORM_DATA, part(b"no colon", b"a") + b"--b--\r\n"),
        (_FORM_DATA, part(b"Content-Disposition: \xff\xff;;;==", b"a") + b"--b--\r\n"),
        (_FORM_DATA, part(b"X: " + b"a" * 20_000, b"a") + b"--b--\r\n"),
        (_FORM_DATA, part(b"X: 1\r\n" * 2_000 + b"X: 1", b"a") + b"--b--\r\n"),
        (
            _FORM_DATA,
            part(
                b'Content-Disposition: form-data; name="message"\r\n'
                b"Content-Transfer-Encoding: base64\r\nContent-Length: 99999",
                b"=",
            )
            + b"--b--\r\n",
        ),
        (
            _FORM_DATA,
            part(
                b'Content-Disposition: form-data; name="a"\r\n'
                b"Content-Type: multipart/mixed; boundary=c",
                b"--c\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--c--",
            )
            + b"--b--\r\n",
        ),
        (
            _FORM_DATA,
            b"".join(
                part(b"Content-Type: multipart/mixed; boundary=b%d" % number, b"--b%d" % number)
                for number in range(50)
            ),
        ),
    ],
)
# aiohttp warns of it; the log takes warnings without what they quote.
@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
async def test_a_bad_multipart_form_is_a_400(
    small: RunningServer, content_type: str, body: bytes
) -> None:
    status, error = await post(small, body, content_type)
    assert (status, error["code"]) == (400, "INVALID_REQUEST")


async def test_a_multipart_field_is_counted_while_it_arrives(small: RunningServer) -> None:
    body = field(b"message", b"x" * 2 * _MAX) + b"--b--\r\n"
    async with raw_connection(small.url) as connection:
        await connection.send(
            head(small, content_type=_FORM_DATA, Transfer_Encoding="chunked")
            + chunked(body[:50_000], body[50_000:])
        )
        answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")
        await lives_on(small, connection)


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
