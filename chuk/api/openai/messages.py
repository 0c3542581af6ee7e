"""The messages of OpenAI's chat, read into ours.

https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages

Written by hand, like the history of our own chat: nested schemas take several times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from chuk.api.attached_pictures import corrected
from chuk.chat.command import Message, Role
from chuk.errors import FileTooLarge, InvalidRequest

MOST_MESSAGES = 2_000
_MOST_CALLS = 128
# The instructions of the newer models, which others call `system`.
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


async def read_messages(value: Sequence[Any], *, image_max_bytes: int) -> tuple[Message, ...]:
    """The messages of a request.

    Args:
        image_max_bytes: for all pictures together.

    Raises:
        InvalidRequest: a message is malformed, or has what is not read here.
        FileTooLarge: the pictures are over the limit.
        UnsupportedFormat: a picture is of no known type.
    """
    messages: list[Message] = []
    size = 0
    for number, item in enumerate(value):
        place = f"messages[{number}]"
        message, its_size = await _message(item, place)
        size += its_size
        if size > image_max_bytes:
            raise FileTooLarge(image_max_bytes, size)
        messages.append(message)
    return tuple(messages)


async def _message(item: Any, place: str) -> tuple[Message, int]:
    role = _ROLES.get(str(item.get("role"))) if isinstance(item, dict) else None
    if role is None:
        raise InvalidRequest.field(
            f"{place}.role", "Must be system, developer, user, assistant or tool."
        )
    calls = _tool_calls(item.get("tool_calls"), place) if role == "assistant" else b""
    answers = None
    if role == "tool":
        answers = item.get("tool_call_id")
        if not isinstance(answers, str) or not answers:
            raise InvalidRequest.field(f"{place}.tool_call_id", "Missing.")
    content = item.get("content")
    if isinstance(content, str):
        return Message(role, content, tool_calls=calls, tool_call_id=answers), 0
    if isinstance(content, list) and content:
        texts, urls, places = _parts(content, role, f"{place}.content")
        images, size = await _pictures(urls, f"{place}.content")
        text = "".join(texts)
        return Message(role, text, images, places, calls, answers), size
    if content is None and role == "assistant" and (calls or item.get("refusal")):
        return Message(role, str(item.get("refusal") or ""), tool_calls=calls), 0
    raise InvalidRequest.field(f"{place}.content", "Must be a text or a list of parts.")


async def _pictures(urls: Sequence[str], place: str) -> tuple[tuple[str, ...], int]:
    found = [await corrected(url, place) for url in urls]
    return tuple(url for url, _ in found), sum(size for _, size in found)


def _parts(
    parts: list[Any], role: Role, place: str
) -> tuple[list[str], list[str], tuple[int, ...]]:
    """The texts, the pictures' URLs, and how much text comes before each picture."""
    texts: list[str] = []
    urls: list[str] = []
    places: list[int] = []
    length = 0
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            # Two texts without anything between them are two paragraphs.
            follows = texts and (not places or places[-1] < length)
            text = f"\n{part['text']}" if follows else part["text"]
        elif kind == "refusal" and role == "assistant" and isinstance(part.get("refusal"), str):
            text = part["refusal"]
        elif kind == "image_url" and role == "user":
            urls.append(_image_url(part.get("image_url"), place))
            places.append(length)
            continue
        elif kind in ("input_audio", "file", "image_url"):
            raise InvalidRequest.field(place, f"A part of the type {kind} is not read here.")
        else:
            raise InvalidRequest.field(place, "A part must be a text or an image_url.")
        texts.append(text)
        length += len(text)
    return texts, urls, tuple(places)


def _image_url(value: Any, place: str) -> str:
    url = value.get("url") if isinstance(value, dict) else None
    if not isinstance(url, str):
        raise InvalidRequest.field(place, "An image_url needs its url.")
    if not url.startswith("data:"):
        # Whoever fetched it would tell somebody else what is talked about.
        raise InvalidRequest.field(
            place, "Send pictures as data: URLs; nothing is fetched from other addresses."
        )
    return url


def _tool_calls(value: Any, place: str) -> bytes:
    """The calls of an earlier answer, as JSON with nothing but what is known of them."""
    if value is None or value == []:
        return b""
    if not isinstance(value, list) or len(value) > _MOST_CALLS:
        raise InvalidRequest.field(f"{place}.tool_calls", "Not a valid list of calls.")
    return orjson.dumps([_call(call, f"{place}.tool_calls") for call in value])


def _call(call: Any, place: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if (
        not isinstance(function, dict)
        or call.get("type", "function") != "function"
        or not all(isinstance(text, str) for text in (call.get("id"), function.get("name")))
        or not isinstance(function.get("arguments"), str)
    ):
        raise InvalidRequest.field(
            place, "A call needs its id and a function with name and arguments, as texts."
        )
    return {
        "id": call["id"],
        "type": "function",
        "function": {"name": function["name"], "arguments": function["arguments"]},
    }
