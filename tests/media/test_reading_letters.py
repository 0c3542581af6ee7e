"""Emails, as they are sent and as Outlook keeps them."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.errors import CorruptFile
from chuk.media.reading.compressed_rtf import unpacked
from tests.media.files.compound import write_compound
from tests.media.files.pictures import encoded, picture_of
from tests.media.reading import KEPT, kept, markdown, reading


def email(body: str = "Hello", page: str = "") -> EmailMessage:
    """An email with every header that is shown."""
    message = EmailMessage()
    message["From"] = "Änne Example <ann@example.org>"
    message["To"] = "bob@example.org"
    message["Subject"] = "Grüße aus Köln"
    message["Date"] = "Mon, 05 Jan 2026 10:00:00 +0000"
    message.set_content(body)
    if page:
        message.add_alternative(page, subtype="html")
    return message


def test_headers_are_decoded_and_the_body_follows() -> None:
    answer = reading(email("Hello\nthere\n").as_bytes(), "mail.eml")
    assert answer["title"] == "Grüße aus Köln"
    assert answer["parts"] == [
        {
            "text": "# Grüße aus Köln\n\n"
            "- **From:** Änne Example \\<ann@example.org\\>\n"
            "- **To:** bob@example.org\n"
            "- **Date:** Mon, 05 Jan 2026 10:00:00 +0000\n\n"
            "Hello\nthere"
        }
    ]


def test_a_header_without_end_is_shown_in_part_and_takes_no_longer_than_others() -> None:
    # What takes headers apart would sit over each of these for minutes.
    for begin in ('"', "a,", "<a@", "(", "=?utf-8?q?a?= "):
        letter = b"From: a@example.org\r\nTo: %b\r\nSubject: x\r\n\r\nHello there"
        answer = markdown(letter % (begin.encode() * 500_000)[:1_000_000], "mail.eml")
        assert "Hello there" in answer and "- **To:**" in answer
        assert len(answer) < 120_000


def test_many_addresses_are_all_shown() -> None:
    many = email()
    del many["To"]
    many["To"] = ", ".join(f"Jörg {number} <j{number}@example.org>" for number in range(300))
    text = markdown(many.as_bytes(), "mail.eml")
    assert "Jörg 0 " in text and "j299@example.org" in text


def test_of_two_bodies_one_is_read() -> None:
    text = markdown(email("The plain one", "<p>The <b>rich</b> one</p>").as_bytes(), "mail.eml")
    assert "The plain one" in text
    assert "rich" not in text


def test_a_page_is_the_body_where_there_is_no_plain_one() -> None:
    message = email()
    message.set_content("<p>The <b>rich</b> one</p>", subtype="html")
    assert "The **rich** one" in markdown(message.as_bytes(), "mail.eml")


def test_attachments_are_listed_and_read() -> None:
    message = email()
    report = (KEPT / "report.docx").read_bytes()
    message.add_attachment(report, "application", "octet-stream", filename="report.docx")
    message.add_attachment("a,b\n1,2\n", subtype="csv", filename="tisch.csv")
    message.add_attachment(b"MZ\0\0", "application", "octet-stream", filename="tool.exe")
    message.add_attachment(
        encoded(picture_of("Hi"), "PNG"), "image", "png", filename="../../scan.png"
    )
    answer = reading(message.as_bytes(), "mail.eml")
    texts = [part.get("text") for part in answer["parts"]]
    assert "- **Attachments:** report.docx, tisch.csv, tool.exe, scan.png" in texts[0]
    assert texts[1] == "## Attachment: report.docx"
    assert texts[2].startswith("# Quarterly report")
    assert texts[3:7] == [
        "## Attachment: tisch.csv",
        "| a | b |\n| --- | --- |\n| 1 | 2 |",
        "## Attachment: tool.exe",
        "*Skipped: Its format is not read.*",
    ]
    assert list(answer["parts"][8]) == ["picture"]


def test_a_forwarded_email_is_read_too() -> None:
    message = email("Look at this")
    inner = email("The inner words")
    message.add_attachment(inner)
    text = markdown(message.as_bytes(), "mail.eml")
    assert "Attachment: Grüße aus Köln.eml" in text
    assert "The inner words" in text


def test_emails_in_one_another_without_end_come_to_an_end() -> None:
    message = email("The innermost")
    for number in range(30):
        outer = email(f"Number {number}")
        outer.add_attachment(message)
        message = outer
    text = markdown(message.as_bytes(), "mail.eml")
    assert "Number 29" in text
    assert "The innermost" not in text


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a@example.org\r\nSubject: =?x-none?q?=E9?=\r\nTo: \xe9\xff <\r\n\r\nBody",
        b"From: a@example.org\nContent-Type: text/plain; charset=nonsense\n\nBody",
        b"From: a@example.org\nContent-Transfer-Encoding: base64\n\nQm9keQ==",
        b"From: ,,,;;<<>>@@\nDate: never\nMessage-Id: <[\n\nBody",
        b"From: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nBody\n",
    ],
)
def test_a_broken_header_does_not_keep_the_body_from_being_read(raw: bytes) -> None:
    assert "Body" in markdown(raw, "mail.eml")


def test_what_has_no_header_is_no_email() -> None:
    with pytest.raises(CorruptFile):
        markdown("just some words\n", "mail.eml")


def test_an_email_of_outlook_is_read_like_others() -> None:
    assert kept("letter.msg") == (
        "# Lunch on Friday — café\n\n"
        '- **From:** "Ann Example" \\<ann@example.org\\>\n'
        "- **To:** Bob Example \\<bob@example.org\\>\n"
        "- **Date:** 2024-01-17 21:20 UTC\n"
        "- **Attachments:** menu.txt\n\n"
        "Dear Bob,\nshall we eat at noon?\nAnn\n\n"
        "## Attachment: menu.txt\n\nAttached words, naïve ones."
    )


def test_rich_text_of_outlook_is_unpacked() -> None:
    # The example of its specification, and the same text not packed.
    packed = bytes.fromhex(
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af3206865"
        "6c0900206277 05b06c647d0a800fa0"
    )
    text = b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    assert unpacked(packed) == text
    assert unpacked(bytes(8) + b"MELA" + bytes(4) + text) == text


@given(st.binary(max_size=300))
def test_unpacking_whatever_comes_ends(noise: bytes) -> None:
    unpacked(bytes(8) + b"LZFu" + bytes(4) + noise)


def test_a_broken_email_of_outlook_is_damaged() -> None:
    with pytest.raises(CorruptFile):
        markdown(write_compound({"__properties_version1.0": b"\1" * 40}), "letter.msg")


def test_an_attached_letter_of_outlook_is_read_in_an_archive_too() -> None:
    message = email()
    message.add_attachment(
        (KEPT / "letter.msg").read_bytes(), "application", "vnd.ms-outlook", filename="l.msg"
    )
    text = markdown(message.as_bytes(), "mail.eml")
    assert "shall we eat at noon?" in text
    assert text.startswith("# Grüße aus Köln\n")


def test_a_report_of_what_became_of_an_email_is_read() -> None:
    raw = (
        b"From: mailer@example.org\nSubject: Undeliverable\n"
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=B\n\n"
        b"--B\nContent-Type: text/plain\n\nIt failed.\n"
        b"--B\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\n"
        b"Final-Recipient: rfc822; nobody@example.org\nStatus: 5.1.1\n\n--B--\n"
    )
    text = markdown(raw, "bounce.eml")
    assert "It failed." in text and "Status: 5.1.1" in text and "mx.example.org" in text
