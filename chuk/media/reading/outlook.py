"""Emails as Outlook keeps them."""

from __future__ import annotations

import anydoc
from oxmsg import Message
from oxmsg.attachment import Attachment

from chuk.errors import CorruptFile
from chuk.media.reading.compressed_rtf import unpacked
from chuk.media.reading.desk import Desk
from chuk.media.reading.html import markdown_of
from chuk.media.reading.letter import Attached, written
from chuk.media.reading.markdown import plain
from chuk.media.reading.source import Reading, Source

_RICH_TEXT = 0x1009
_SHORT_NAME = 0x3704
_DISPLAY_NAME = 0x3001


def read(source: Source, desk: Desk) -> Reading:
    """Headers, one body, and what is attached."""
    try:
        message = Message.load(source.data)
        headers = _headers(message)
        subject = plain(message.subject)
        body = _body(message)
        attached = [_attached(one) for one in message.attachments]
    except CorruptFile:
        raise
    # It checks nothing of what it reads: damage shows as whatever comes of it.
    except Exception:
        raise CorruptFile("This email is damaged.") from None
    if not (subject or body.strip() or attached):
        raise CorruptFile("This email is empty.")
    return written(subject, headers, body, attached, source=source, desk=desk)


def _body(message: Message) -> str:
    """The plain text; the page where there is none, or else the rich text."""
    text = (message.body or "").replace("\r\n", "\n")
    if text.strip():
        return text
    if page := message.html_body:
        return markdown_of(page)
    packed = message.properties.binary_prop_value(_RICH_TEXT)
    return anydoc.to_markdown_bytes(unpacked(packed), "rtf") if packed else ""


def _headers(message: Message) -> list[tuple[str, str]]:
    sent = message.sent_date
    recipients = ", ".join(
        f"{one.name} <{one.email_address}>" if one.name != one.email_address else one.name
        for one in message.recipients
    )
    return [
        ("From", plain(message.sender or "")),
        ("To", plain(recipients)),
        ("Date", sent.strftime("%Y-%m-%d %H:%M UTC") if sent else ""),
    ]


def _attached(one: Attachment) -> Attached:
    known = one.properties
    name = one.file_name or known.str_prop_value(_SHORT_NAME) or known.str_prop_value(_DISPLAY_NAME)
    # A message in a message has no bytes of its own.
    return Attached(plain(name or "unnamed"), one.file_bytes or b"")
