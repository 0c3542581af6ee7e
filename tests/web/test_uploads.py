"""Files come in one way: streamed, counted, timed, and gone afterwards whatever happens."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData, web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chuk.web.uploads import ROOM_FOR_THE_FORM, Upload, read_upload
from tests.conftest import StartServer
from tests.harness import RunningServer, eventually
from tests.raw_http import RawAnswer, raw_connection, request_bytes
from tests.web.sending import FORM_DATA, bomb, chunked, part

PATH = "/test/upload"
MOST = 3_000_000
_FILE = b'Content-Disposition: form-data; name="file"; filename="a.txt"'


@dataclass
class Desk:
    """A route that takes files and remembers them.

    Attributes:
        seen: each upload that came in whole, and the digest of its file.
        at_work: set while an upload is being worked on, where `waits` lets that last.
        patience: seconds for a body.
    """

    seen: list[tuple[Upload, str]] = field(default_factory=list)
    at_work: asyncio.Event = field(default_factory=asyncio.Event)
    has_left: asyncio.Event = field(default_factory=asyncio.Event)
    waits: bool = False
    patience: float = 30.0

    async def take(self, request: web.Request) -> web.Response:
        """Take one file in."""
        try:
            async with read_upload(
                request, part="file", max_bytes=MOST, timeout=self.patience
            ) as upload:
                content = upload.path.read_bytes()
                assert len(content) == upload.size
                self.seen.append((upload, hashlib.sha256(content).hexdigest()))
                self.at_work.set()
                if self.waits:
                    await asyncio.Event().wait()
                return web.json_response({"name": upload.name, "fields": upload.fields})
        finally:
            self.has_left.set()


@pytest.fixture
def desk() -> Desk:
    """What the route saw."""
    return Desk()


@pytest.fixture
async def taking(
    start_server: StartServer, desk: Desk, temporary_folder: Path
) -> AsyncIterator[RunningServer]:
    """A server with that route."""
    async with start_server(
        prepare=lambda app: app.router.add_post(PATH, desk.take), CHUK_LIMIT_ADDRESS="100000"
    ) as running:
        yield running


async def send(server: RunningServer, data: Any, **headers: str) -> tuple[int, Any]:
    """Status and body of an upload."""
    async with server.client.post(f"{server.url}{PATH}", data=data, headers=headers) as answer:
        return answer.status, await answer.json()


def a_form(content: bytes, name: str = "report.pdf", **fields: str) -> FormData:
    """What the app sends: the part says nothing of what it is."""
    form = FormData(quote_fields=False)
    form.add_field(
        "file", io.BytesIO(content), filename=name, content_type="application/octet-stream"
    )
    for other, value in fields.items():
        form.add_field(other, value)
    return form


def code_of(body: Any) -> str:
    """The code of an error."""
    code: str = body["error"]["code"]
    return code


async def raw(server: RunningServer, body: bytes, content_type: str = FORM_DATA) -> RawAnswer:
    """A body as it is."""
    async with raw_connection(server.url) as connection:
        headers = {"Content-Type": content_type, "Content-Length": str(len(body))}
        await connection.send(request_bytes("POST", PATH, headers, body))
        return await connection.answer()


async def test_a_file_comes_in_whole_with_its_name_and_the_other_fields(
    taking: RunningServer, desk: Desk
) -> None:
    content = bytes(range(256)) * (MOST // 256)
    status, body = await send(taking, a_form(content, "räport 1.pdf", language="de", note="ä"))
    assert (status, body["name"]) == (200, "räport 1.pdf")
    assert body["fields"] == {"language": "de", "note": "ä"}
    ((upload, digest),) = desk.seen
    assert (upload.size, digest) == (len(content), hashlib.sha256(content).hexdigest())
    assert not upload.path.exists()


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\somebody\\letter.docx", "letter.docx"),
        ("/", ""),
        ("x" * 1000 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
async def test_a_name_is_only_a_name(taking: RunningServer, sent: str, name: str) -> None:
    body = part(
        b'Content-Disposition: form-data; name="file"; filename="%b"'
        % sent.replace("\\", "\\\\").encode(),
        b"content",
    )
    answer = await raw(taking, body + b"--b--\r\n")
    assert (answer.status, answer.json()["name"]) == (200, name)


async def test_a_file_of_just_the_limit_is_taken_and_one_byte_more_is_not(
    taking: RunningServer, desk: Desk
) -> None:
    assert (await send(taking, a_form(b"x" * MOST)))[0] == 200
    status, body = await send(taking, a_form(b"x" * (MOST + 1)))
    assert (status, code_of(body)) == (413, "FILE_TOO_LARGE")
    assert body["error"]["details"] == {"max_size_bytes": MOST, "max_size_display": "3 MB"}
    assert len(desk.seen) == 1


async def test_a_body_that_says_it_is_too_large_is_refused_unread(taking: RunningServer) -> None:
    async with raw_connection(taking.url) as connection:
        length = MOST + ROOM_FOR_THE_FORM + 1
        headers = {"Content-Type": FORM_DATA, "Content-Length": str(length)}
        await connection.send(request_bytes("POST", PATH, headers))
        answer = await connection.answer()
        assert answer.status == 413
        details = answer.json()["error"]["details"]
        assert (details["max_size_bytes"], details["file_size_bytes"]) == (MOST, length)


async def test_a_file_that_grows_too_large_is_refused_before_the_rest_arrives(
    taking: RunningServer,
) -> None:
    async with raw_connection(taking.url) as connection:
        headers = {"Content-Type": FORM_DATA, "Transfer-Encoding": "chunked"}
        await connection.send(request_bytes("POST", PATH, headers))
        opening = b"--b\r\n" + _FILE + b"\r\n\r\n" + b"x" * (MOST + 100_000)
        # Neither the chunks nor the form have an end.
        await connection.send(chunked(opening).removesuffix(b"0\r\n\r\n"))
        answer = await connection.answer()
        assert (answer.status, code_of(answer.json())) == (413, "FILE_TOO_LARGE")


async def test_a_packed_body_is_counted_as_it_is_unpacked(taking: RunningServer) -> None:
    body = bomb(b"x" * 1000, 50_000_000)
    async with raw_connection(taking.url) as connection:
        headers = {
            "Content-Type": FORM_DATA,
            "Content-Encoding": "gzip",
            "Content-Length": str(len(body)),
        }
        await connection.send(request_bytes("POST", PATH, headers, body))
        assert (await connection.answer()).status in (400, 413)


async def test_nobody_waits_for_ever_for_a_slow_body(taking: RunningServer, desk: Desk) -> None:
    desk.patience = 0.2
    async with raw_connection(taking.url) as connection:
        headers = {"Content-Type": FORM_DATA, "Content-Length": "100000"}
        opening = b"--b\r\n" + _FILE + b"\r\n\r\nabc"
        await connection.send(request_bytes("POST", PATH, headers, opening))
        answer = await connection.answer()
        assert (answer.status, code_of(answer.json())) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"--b--\r\n", 400, "INVALID_REQUEST"),
        (b"", 400, "INVALID_REQUEST"),
        (part(b'Content-Disposition: form-data; name="other"', b"x"), 400, "INVALID_REQUEST"),
        (part(_FILE, b"x") + part(_FILE, b"y"), 400, "INVALID_REQUEST"),
        (part(_FILE, b""), 400, "CORRUPT_FILE"),
        (part(b'Content-Disposition: form-data; name="\xff"', b"x"), 400, "INVALID_REQUEST"),
        (part(b"Content-Disposition: form-data", b"x"), 400, "INVALID_REQUEST"),
        (part(_FILE, b"x").removesuffix(b"\r\n"), 400, "INVALID_REQUEST"),
        (
            part(_FILE, b"x") + part(b'Content-Disposition: form-data; name="n"', b"\xff"),
            400,
            "INVALID_REQUEST",
        ),
        (
            part(_FILE, b"x")
            + part(b'Content-Disposition: form-data; name="n"', b"y" * (ROOM_FOR_THE_FORM + 1)),
            400,
            "INVALID_REQUEST",
        ),
        (
            part(_FILE, b"x") + part(b'Content-Disposition: form-data; name="n"', b"y") * 2,
            400,
            "INVALID_REQUEST",
        ),
    ],
)
async def test_a_form_that_is_not_as_it_should_be_is_refused(
    taking: RunningServer, desk: Desk, body: bytes, status: int, code: str
) -> None:
    ending = b"" if body.endswith(b"x") else b"--b--\r\n"
    answer = await raw(taking, body + ending)
    assert (answer.status, code_of(answer.json())) == (status, code)
    assert desk.seen == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "application/pdf"]
)
async def test_what_is_no_form_is_told_how_to_be_one(
    taking: RunningServer, content_type: str
) -> None:
    answer = await raw(taking, b"{}", content_type)
    assert answer.status == 400
    assert "multipart/form-data" in answer.json()["error"]["details"]["fields"]["file"][0]


async def test_other_files_are_read_past(taking: RunningServer, desk: Desk) -> None:
    other = b'Content-Disposition: form-data; name="thumb"; filename="t.png"'
    answer = await raw(taking, part(other, b"p" * 1000) + part(_FILE, b"x") + b"--b--\r\n")
    assert (answer.status, answer.json()) == (200, {"name": "a.txt", "fields": {}})


async def test_a_client_that_leaves_takes_its_file_along(
    taking: RunningServer, desk: Desk, temporary_folder: Path
) -> None:
    desk.waits = True
    whole = part(_FILE, b"x" * 10_000) + b"--b--\r\n"
    for body, length in ((whole, len(whole)), (whole[:5_000], MOST)):
        desk.has_left.clear()
        async with raw_connection(taking.url) as connection:
            headers = {"Content-Type": FORM_DATA, "Content-Length": str(length)}
            await connection.send(request_bytes("POST", PATH, headers, body))
            await eventually(lambda: any(temporary_folder.iterdir()))
        async with asyncio.timeout(30):
            await desk.has_left.wait()
        await eventually(lambda: not any(temporary_folder.iterdir()))


_HEADERS = st.lists(
    st.sampled_from(
        [
            b'Content-Disposition: form-data; name="file"; filename="a"',
            b'Content-Disposition: form-data; name="file"',
            b'Content-Disposition: form-data; name="n"',
            b"Content-Disposition: attachment",
            b"Content-Type: application/octet-stream",
            b"Content-Type: multipart/mixed; boundary=c",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: nonsense",
            b"Content-Encoding: gzip",
            b"Content-Length: 3",
            b"Content-Length: -1",
            b"\xff\xfe: x",
            b"nonsense",
        ]
    ),
    max_size=4,
)


@given(
    pieces=st.lists(
        st.one_of(
            st.builds(lambda lines, body: part(b"\r\n".join(lines), body), _HEADERS, st.binary()),
            st.sampled_from([b"--b--", b"--b", b"\r\n", b"--c\r\n", b"\0", b"--b--\r\n"]),
            st.binary(max_size=200),
        ),
        max_size=6,
    )
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_any_body_gets_an_answer_and_leaves_no_file(
    taking: RunningServer, temporary_folder: Path, pieces: list[bytes]
) -> None:
    answer = await raw(taking, b"".join(pieces))
    assert answer.status in (200, 400)
    assert answer.status == 200 or code_of(answer.json())
    assert list(temporary_folder.iterdir()) == []
