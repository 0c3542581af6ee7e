"""From checked fields to a chat command, pictures included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from chuk.api.ai.schemas import ChatRequest
from chuk.api.attached_pictures import corrected, to_data_url
from chuk.api.keys import CATALOG
from chuk.catalog.service import Catalog
from chuk.chat.command import ChatCommand, Message
from chuk.errors import FileTooLarge, InvalidRequest
from chuk.settings import Chat
from chuk.web.bodies import read_form
from chuk.web.keys import SETTINGS
from chuk.web.validation import checked, typed

_REQUEST = ChatRequest()
_IMAGE_PARTS = ("images", "images[]")
_NUMBERS = frozenset({"max_tokens", "temperature"})
_BOOLEANS = frozenset({"allow_provider_fallbacks"})
_JSON = frozenset({"history", "metadata"})


async def read_chat_command(request: web.Request) -> ChatCommand:
    """What a request's body asks for, in whichever form it came.

    Raises:
        InvalidRequest: the body or a field is wrong.
        FileTooLarge: the body or its pictures are over their limit.
        UnsupportedFormat: neither JSON nor a form, or a picture of no known type.
    """
    settings = request.config_dict[SETTINGS]
    form = await read_form(
        request,
        max_bytes=settings.chat.message_max_bytes,
        timeout=settings.server.body_timeout,
        files=_IMAGE_PARTS,
    )
    values = typed(form, numbers=_NUMBERS, booleans=_BOOLEANS, json=_JSON)
    uploads = [content for name in _IMAGE_PARTS for content in form.files.get(name, ())]
    if not form.is_typed:
        values.pop("images", None)
    return await chat_command(values, settings.chat, request.config_dict[CATALOG], uploads)


async def chat_command(
    values: dict[str, Any], limits: Chat, catalog: Catalog, uploads: Sequence[bytes] = ()
) -> ChatCommand:
    """Check one chat request and make the command of it.

    Pictures of earlier turns are not looked at for a model that cannot see: they are dropped,
    whatever they are, or a talk with a bad one in it could go on with no model at all.

    Args:
        values: the fields, typed; `images` are data URLs.
        uploads: pictures that came as files.

    Raises:
        InvalidRequest: a field is wrong, missing, or there are too many pictures.
        FileTooLarge: the new pictures are over the limit together.
        UnsupportedFormat: a picture is of no known type.
    """
    fields = checked(_REQUEST, values)
    images = await _new_images(fields["images"] or [], uploads, limits)
    text = fields["message"] or ""
    if not text.strip() and not images:
        raise InvalidRequest.field("message", "Must not be blank.")
    messages = []
    if fields["system_prompt"]:
        messages.append(Message("system", fields["system_prompt"]))
    may_see = catalog.may_see(fields["model_id"])
    for item in fields["history"] or []:
        urls = item["images"] if may_see else ()
        pictures = [(await corrected(url, "history"))[0] for url in urls]
        messages.append(Message(item["role"], item["text"], tuple(pictures)))
    messages.append(Message("user", text, images))
    return ChatCommand(
        model_id=fields["model_id"],
        messages=tuple(messages),
        provider_slug=fields["provider_slug"] or None,
        max_tokens=fields["max_tokens"],
        temperature=fields["temperature"],
        reasoning_effort=fields["reasoning_effort"],
        allow_provider_fallbacks=bool(fields["allow_provider_fallbacks"]),
        tags=fields["metadata"] or {},
    )


async def _new_images(
    urls: Sequence[str], uploads: Sequence[bytes], limits: Chat
) -> tuple[str, ...]:
    if len(urls) + len(uploads) > limits.image_max_count:
        raise InvalidRequest.field("images", f"At most {limits.image_max_count} are allowed.")
    size = sum(map(len, uploads))
    images = [await to_data_url(content) for content in uploads]
    for url in urls:
        image, its_size = await corrected(url, "images")
        size += its_size
        images.append(image)
    if size > limits.image_max_bytes:
        raise FileTooLarge(limits.image_max_bytes, size)
    return tuple(images)
