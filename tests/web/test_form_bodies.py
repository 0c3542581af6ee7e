"""Forms of every bad kind, and content types that are none of ours."""

from __future__ import annotations

import json

import pytest

from tests.harness import RunningServer
from tests.raw_http import raw_connection
from tests.web.sending import (
    FORM_DATA,
    GOOD,
    MAX,
    chunked,
    error_code,
    field,
    head,
    lives_on,
    part,
    post,
)


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
    body = json.dumps(GOOD).encode()
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


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", field(b"message", b"a") + b"--b--\r\n"),
        ("multipart/form-data; boundary=", b"----\r\n"),
        ("multipart/form-data; boundary=" + "b" * 200, b""),
        ("multipart/form-data; boundary=\xff", b"--\xff--"),
        (FORM_DATA, b""),
        (FORM_DATA, b"nonsense"),
        (FORM_DATA, b"--b\r\n"),
        (FORM_DATA, b"--b--\r\n"),
        (FORM_DATA, b"--another--\r\n"),
        (FORM_DATA, field(b"message", b"a")),
        (FORM_DATA, field(b"message", b"a") * 2 + b"--b--\r\n"),
        (FORM_DATA, field(b"message", b"\xff\xfe") + b"--b--\r\n"),
        (FORM_DATA, field(b"\xff", b"a") * 2 + b"--b--\r\n"),
        (FORM_DATA, field(b"f", b"a") * 101 + b"--b--\r\n"),
        (FORM_DATA, part(b"Content-Type: text/plain", b"nameless") + b"--b--\r\n"),
        (FORM_DATA, part(b"no colon", b"a") + b"--b--\r\n"),
        (FORM_DATA, part(b"Content-Disposition: \xff\xff;;;==", b"a") + b"--b--\r\n"),
        (FORM_DATA, part(b"X: " + b"a" * 20_000, b"a") + b"--b--\r\n"),
        (FORM_DATA, part(b"X: 1\r\n" * 2_000 + b"X: 1", b"a") + b"--b--\r\n"),
        (
            FORM_DATA,
            part(
                b'Content-Disposition: form-data; name="message"\r\n'
                b"Content-Transfer-Encoding: base64\r\nContent-Length: 99999",
                b"=",
            )
            + b"--b--\r\n",
        ),
        (
            FORM_DATA,
            part(
                b'Content-Disposition: form-data; name="a"\r\n'
                b"Content-Type: multipart/mixed; boundary=c",
                b"--c\r\nContent-Disposition: form-data; name=x\r\n\r\ny\r\n--c--",
            )
            + b"--b--\r\n",
        ),
        (
            FORM_DATA,
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
    body = field(b"message", b"x" * 2 * MAX) + b"--b--\r\n"
    async with raw_connection(small.url) as connection:
        await connection.send(
            head(small, content_type=FORM_DATA, Transfer_Encoding="chunked")
            + chunked(body[:50_000], body[50_000:])
        )
        answer = await connection.answer()
        assert (answer.status, error_code(answer)) == (413, "FILE_TOO_LARGE")
        await lives_on(small, connection)


@pytest.mark.parametrize("name", ["history", "metadata"])
async def test_a_forms_json_field_is_bounded_like_a_json_body(
    server: RunningServer, name: str
) -> None:
    body = b"".join(field(name.encode(), value.encode()) for name, value in GOOD.items())
    body += field(name.encode(), b"[" + b"0," * 1_000_000 + b"0]") + b"--b--\r\n"
    status, error = await post(server, body, FORM_DATA)
    assert status == 400
    assert error["details"]["fields"].keys() == {name}
