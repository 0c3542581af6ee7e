"""Files of every kind become Markdown, or a clear reason; nothing of them is left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chuk.media.cutting import MOST_UNITS, utf16_units
from tests.api.file_client import KEPT, PATH, children, code_of, convert
from tests.conftest import StartServer
from tests.credits.people import receipts_of, rich
from tests.harness import RunningServer, answer_text, eventually
from tests.raw_http import raw_connection, request_bytes
from tests.web.sending import FORM_DATA, part

# Takes most of a second.
SLOW = b"<html>" + b"<p>Hello <b>you</b></p>" * 100_000

pytestmark = pytest.mark.usefixtures("temporary_folder")


async def test_a_document_becomes_markdown(server: RunningServer) -> None:
    status, body = await convert(server, (KEPT / "report.docx").read_bytes(), "report.docx")
    assert status == 200
    assert "# Quarterly report" in body["markdown"] and "**very good**" in body["markdown"]
    assert (body["format"], body["title"]) == ("docx", "Quarterly report")
    assert body["truncated"] is False
    assert "pages" not in body


async def test_pages_are_counted(server: RunningServer) -> None:
    status, body = await convert(server, (KEPT / "long.pdf").read_bytes())
    assert (status, body["format"], body["pages"]) == (200, "pdf", 100)


@pytest.mark.parametrize("name", ["recording.mp3", "photo.jpg", "", "ä/../../report.exe"])
async def test_its_content_decides_and_its_name_does_not(server: RunningServer, name: str) -> None:
    status, body = await convert(server, (KEPT / "report.odt").read_bytes(), name)
    assert (status, body["format"]) == (200, "odt")


async def test_the_envelope_is_what_it_is_everywhere(server: RunningServer) -> None:
    status, body = await convert(server, b"Hello", "a.txt", Accept="application/json")
    assert (status, body["data"]["markdown"].strip()) == (200, "Hello")
    assert body["meta"]["timestamp"]


async def test_a_long_text_is_cut_at_a_line_in_the_apps_own_units(server: RunningServer) -> None:
    line = "🦓 the zebra sleeps in the blue kitchen"
    status, body = await convert(server, (f"{line}\n" * 10_000).encode(), "zebra.txt")
    assert (status, body["truncated"]) == (200, True)
    assert MOST_UNITS - 100 < utf16_units(body["markdown"]) <= MOST_UNITS
    assert set(body["markdown"].splitlines()) <= {line, ""}


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "empty.pdf", 400, "CORRUPT_FILE"),
        (b" \n\n ", "blank.txt", 400, "CORRUPT_FILE"),
        (b"%PDF-1.7\nthat is all", "broken.pdf", 400, "CORRUPT_FILE"),
        (b"\x89PNG\r\n\x1a\n and nothing more", "broken.png", 400, "CORRUPT_FILE"),
        (bytes(range(256)) * 40, "noise.docx", 400, "CORRUPT_FILE"),
        (bytes(range(256)) * 40, "noise.bin", 415, "UNSUPPORTED_FORMAT"),
        (b"\x7fELF\2\1\1\0" + bytes(100), "voice.mp3", 415, "UNSUPPORTED_FORMAT"),
    ],
)
async def test_what_cannot_be_read_has_a_reason(
    server: RunningServer, content: bytes, name: str, status: int, code: str
) -> None:
    user = uuid4()
    got, body = await convert(server, content, name, user=user)
    assert (got, code_of(body)) == (status, code)
    assert all(receipt["charged_eur"] == 0 for receipt in await receipts_of(server, user))


@pytest.mark.parametrize("name", ["locked.docx", "locked.pdf"])
async def test_a_password_is_said_to_be_in_the_way(server: RunningServer, name: str) -> None:
    status, body = await convert(server, (KEPT / name).read_bytes(), name)
    assert (status, code_of(body)) == (400, "CORRUPT_FILE")
    assert "password" in body["detail"]


async def test_an_unknown_format_is_named_beside_those_that_are_known(
    server: RunningServer,
) -> None:
    status, body = await convert(server, bytes(range(256)), "Dear Anna.xyz")
    assert (status, code_of(body)) == (415, "UNSUPPORTED_FORMAT")
    assert body["error"]["details"]["format"] == "xyz"
    assert {"pdf", "docx", "heic", "mp3", "zip"} <= set(body["error"]["details"]["supported"])


async def test_a_file_over_the_limit_is_refused_before_the_rest_arrives(
    server: RunningServer,
) -> None:
    headers = {**server.bearer(), "Content-Type": FORM_DATA, "Expect": "100-continue"}
    async with raw_connection(server.url) as connection:
        length = {"Content-Length": "11000000"}
        await connection.send(request_bytes("POST", PATH, {**headers, **length}))
        answer = await connection.answer()
        assert answer.status == 413
        assert answer.json()["error"]["details"] == {
            "max_size_bytes": 10_000_000,
            "max_size_display": "10 MB",
            "file_size_bytes": 11_000_000,
        }
    body = part(b'Content-Disposition: form-data; name="file"; filename="a.txt"', b"Hello")
    body += b"--b--\r\n"
    async with raw_connection(server.url) as connection:
        length = {"Content-Length": str(len(body))}
        await connection.send(request_bytes("POST", PATH, {**headers, **length}))
        assert (await connection.answer()).status == 100
        await connection.send(body)
        assert (await connection.answer()).status == 200


async def test_without_a_file_the_answer_says_which_part_is_missing(
    server: RunningServer,
) -> None:
    async with server.client.post(
        f"{server.url}{PATH}", json={"file": "x"}, headers=server.bearer()
    ) as answer:
        assert answer.status == 400
        assert "file" in (await answer.json())["error"]["details"]["fields"]


async def test_nobody_converts_without_a_token(server: RunningServer) -> None:
    async with server.client.post(f"{server.url}{PATH}", data=b"x") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "UNAUTHORIZED")


async def test_more_than_the_limit_of_a_minute_are_refused(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_FILE="2") as server:
        user = uuid4()
        answers = [await convert(server, b"Hello", "a.txt", user=user) for _ in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429]


async def test_it_is_free_of_charge_and_still_in_the_books(server: RunningServer) -> None:
    user = uuid4()
    status, _ = await convert(server, b"Hello", "a.txt", user=user)
    assert status == 200
    (receipt,) = await receipts_of(server, user)
    assert receipt["operation"] == "conversion"
    assert (receipt["charged_eur"], receipt["outcome"]) == (0, "completed")
    assert receipt["total_tokens"] > 0


async def test_a_price_is_held_and_taken_for_what_was_read_and_only_for_that(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_MEDIA_CONVERSION_PRICE="0.02") as server:
        user = await rich(server)
        assert (await convert(server, b"Hello", "a.txt", user=user))[0] == 200
        assert (await convert(server, b"%PDF-1.7", "a.pdf", user=user))[0] == 400
        newest, older = await receipts_of(server, user)
        assert (older["charged_eur"], newest["charged_eur"]) == (0.02, 0)
        assert (older["outcome"], newest["outcome"]) == ("completed", "failed")
        status, body = await convert(server, b"Hello", "a.txt", user=uuid4())
        assert (status, code_of(body)) == (402, "INSUFFICIENT_CREDITS")
        assert body["error"]["details"]["operation"] == "conversion"


async def test_what_takes_too_long_is_ended_and_is_our_own_fault(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_MEDIA_CONVERT_TIMEOUT="0.02") as server:
        user = uuid4()
        status, body = await convert(server, SLOW, "slow.html", user=user)
        assert (status, code_of(body)) == (500, "CONVERSION_FAILED")
        assert children() == []
        (receipt,) = await receipts_of(server, user)
        assert (receipt["charged_eur"], receipt["outcome"]) == (0, "failed")


async def test_a_full_queue_says_when_to_come_back(start_server: StartServer) -> None:
    async with start_server(CHUK_MEDIA_WORKERS="1", CHUK_MEDIA_QUEUE="1") as server:
        answers = await asyncio.gather(*(convert(server, SLOW, "slow.html") for _ in range(3)))
        assert sorted(status for status, _ in answers) == [200, 200, 503]
        (refused,) = [body for status, body in answers if status == 503]
        assert code_of(refused) == "SERVICE_UNAVAILABLE"
        assert refused["error"]["details"]["retry_after"] >= 1


async def test_a_client_that_leaves_ends_the_work(
    server: RunningServer, temporary_folder: Path
) -> None:
    user = uuid4()
    leaving = asyncio.create_task(convert(server, SLOW, "slow.html", user=user))
    await eventually(lambda: bool(children()))
    leaving.cancel()
    await asyncio.wait({leaving})
    await eventually(lambda: not children())
    await eventually(lambda: not any(temporary_folder.iterdir()))
    receipts: list[Any] = []
    async with asyncio.timeout(30):
        while not receipts:
            receipts = await receipts_of(server, user)
    assert receipts[0]["outcome"] == "cancelled"
    assert (await convert(server, b"Hello", "a.txt"))[0] == 200


async def test_one_file_of_somebody_does_not_wait_for_all_of_another(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_MEDIA_WORKERS="1") as server:
        greedy, other = uuid4(), uuid4()
        many = [
            asyncio.create_task(convert(server, SLOW, "slow.html", user=greedy)) for _ in range(5)
        ]
        await eventually(lambda: bool(children()))
        assert (await convert(server, b"Hello", "a.txt", user=other))[0] == 200
        assert sum(task.done() for task in many) < 4
        for task in many:
            task.cancel()
        await asyncio.gather(*many, return_exceptions=True)
        await eventually(lambda: not children())


async def test_twenty_at_once_keep_nobody_from_chatting(start_server: StartServer) -> None:
    content = (KEPT / "long.pdf").read_bytes()
    async with start_server(CHUK_LIMIT_CHAT="100000") as server:
        many = [asyncio.create_task(convert(server, content, "long.pdf")) for _ in range(20)]
        chats = 0
        while chats < 40 and not all(task.done() for task in many):
            assert answer_text(await server.chat("Hello"))
            chats += 1
        await asyncio.wait(many)
    # Were a conversion to hold the event loop, there would be no turn between two of them.
    assert chats > 20
    answers = [task.result() for task in many]
    assert {status for status, _ in answers} == {200}
    assert len({body["markdown"] for _, body in answers}) == 1


async def test_nothing_of_a_file_is_logged(
    server: RunningServer, capfd: pytest.CaptureFixture[str]
) -> None:
    await convert(server, b"the zebra sleeps", "zebra.txt")
    await convert(server, b"%PDF-1.7 zebra", "zebra.pdf")
    await convert(server, bytes(range(256)) + b"zebra", "zebra.zebra")
    printed = capfd.readouterr()
    assert "convert-file" in printed.out + printed.err
    assert "zebra" not in printed.out + printed.err
