"""Emails as they are sent."""

from __future__ import annotations

from collections.abc import Iterable
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from typing import NamedTuple

from chuk.errors import CorruptFile, UnsupportedFormat
from chuk.media.formats import Format
from chuk.media.reading.desk import Desk
from chuk.media.reading.encoding import decode
from chuk.media.reading.html import markdown_of
from chuk.media.reading.markdown import escaped, heading, plain
from chuk.media.reading.source import Part, Reading, Source, Text

_AS_IT_IS = policy.default.clone(refold_source="none")
_HEADERS = ("From", "To", "Cc", "Date")
# Characters. A longer one is only decoded: what takes a broken one apart needs a time that grows
# with the square of its length.
_LONG_HEADER = 5_000
_LONGEST_HEADER = 50_000


class Attached(NamedTuple):
    """What came with a letter."""

    name: str
    data: bytes


def read(source: Source, desk: Desk) -> Reading:
    """Headers, one body, and what is attached."""
    try:
        parser = BytesParser(policy=policy.default)
        message = parser.parsebytes(source.data)
        headers = [(name, _header(message, name)) for name in _HEADERS]
        subject = _header(message, "Subject")
        if not subject and not any(value for _, value in headers):
            raise CorruptFile("This is no email.")
        attached = [_attached(part) for part in message.iter_attachments()]
        body = _body(message)
        if not body and not attached:
            attached = [_attached(message)]
    except CorruptFile:
        raise
    # Parts in parts without end, and all else that nobody meant to write.
    except Exception:
        raise CorruptFile("This email is damaged.") from None
    return written(subject, headers, body, attached, source=source, desk=desk)


def written(
    subject: str,
    headers: Iterable[tuple[str, str]],
    body: str,
    attached: list[Attached],
    *,
    source: Source,
    desk: Desk,
) -> Reading:
    """A letter of whatever format in Markdown, with what is attached read too."""
    lines = [f"- **{name}:** {escaped(value)}" for name, value in headers if value]
    if attached:
        names = ", ".join(escaped(one.name) for one in attached)
        lines.append(f"- **Attachments:** {names}")
    title = subject or "Email without a subject"
    parts: list[Part] = [Text("\n\n".join([heading(title, 1), "\n".join(lines), body.strip("\n")]))]
    for one in attached:
        parts.append(Text(heading(f"Attachment: {one.name}")))
        parts += _content(one, source, desk)
    return Reading(parts, title=plain(subject))


def _content(one: Attached, source: Source, desk: Desk) -> list[Part]:
    budget = desk.budget
    budget.entries -= 1
    budget.bytes -= len(one.data)
    if budget.entries < 0 or budget.bytes < 0:
        budget.has_left_out = True
        return [Text("*Skipped: There was no room for it.*")]
    try:
        return desk.read_packed(one.data, one.name, source)
    except UnsupportedFormat:
        return [Text("*Skipped: Its format is not read.*")]
    except CorruptFile as error:
        return [Text(f"*Skipped: {error.message}*")]


def _header(message: MIMEPart, name: str) -> str:
    raw = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    raw = str(raw)
    if len(raw) > _LONG_HEADER:
        return _decoded(raw[:_LONGEST_HEADER])
    try:
        return plain(str(message.get(name, "")))
    # The parser of headers stumbles over some that are broken, in ways of its own.
    except Exception:
        return _decoded(raw)


def _decoded(raw: str) -> str:
    try:
        return plain(str(make_header(decode_header(raw))))
    except (LookupError, ValueError):
        return plain(raw)


def _body(message: EmailMessage) -> str:
    """The plain text; the page where there is none."""
    chosen = message.get_body(("plain",))
    text = _text(chosen) if chosen is not None else ""
    if text.strip():
        return text
    page = message.get_body(("html",))
    return markdown_of(_text(page)) if page is not None else text


def _text(part: MIMEPart) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    return decode(content, part.get_content_charset()) if content else ""


def _attached(part: MIMEPart) -> Attached:
    if part.get_content_type() == "message/rfc822":
        message = next(part.iter_parts(), part)
        name = _named(part) or f"{_header(message, 'Subject') or 'email'}.eml"
        return Attached(name, message.as_bytes(policy=_AS_IT_IS))
    if part.get_content_maintype() == "message" and part.is_multipart():
        # A report on what became of a message: nothing but headers, one block for each address.
        blocks = [block.as_bytes(policy=_AS_IT_IS) for block in part.iter_parts()]
        return Attached(_named(part) or "report.txt", b"\n".join(blocks))
    content = part.get_payload(decode=True)
    return Attached(
        _named(part) or f"unnamed.{_ending(part)}", content if isinstance(content, bytes) else b""
    )


def _named(part: MIMEPart) -> str:
    try:
        return plain(part.get_filename() or "").replace("\\", "/").rpartition("/")[2]
    except (LookupError, ValueError, TypeError):
        return ""


def _ending(part: MIMEPart) -> str:
    kind = part.get_content_subtype()
    return kind if kind in set(Format) else "txt" if part.get_content_maintype() == "text" else ""
