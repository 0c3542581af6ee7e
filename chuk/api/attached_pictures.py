"""Pictures that come with a message: what they really are, whatever they are called."""

from __future__ import annotations

import asyncio
import base64
import binascii

from chuk.errors import InvalidRequest, UnsupportedFormat

SUPPORTED = ("image/png", "image/jpeg", "image/webp", "image/gif")
# A multiple of 4 characters and of 3 bytes, so that pieces of base64 stand by themselves.
_STEP = 1_048_576 * 3


def media_type(content: bytes) -> str:
    """Tell the type from the first bytes.

    Raises:
        UnsupportedFormat: none of png, jpeg, webp, gif.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    raise UnsupportedFormat("unknown", SUPPORTED)


async def to_data_url(content: bytes) -> str:
    """Encode an uploaded picture, a few megabytes at a time, so that the event loop stays free.

    Raises:
        UnsupportedFormat: none of png, jpeg, webp, gif.
    """
    pieces = [f"data:{media_type(content)};base64,"]
    for start in range(0, len(content), _STEP):
        pieces.append(base64.b64encode(content[start : start + _STEP]).decode("ascii"))
        await asyncio.sleep(0)
    return "".join(pieces)


async def corrected(url: str, field: str) -> tuple[str, int]:
    """Put the type of a data URL right and return it with the picture's size in bytes.

    The app labels every picture `image/jpeg`; providers refuse a label that does not fit.

    Raises:
        InvalidRequest: not a base64 data URL.
        UnsupportedFormat: none of png, jpeg, webp, gif.
    """
    head, comma, encoded = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        raise InvalidRequest.field(field, "Must be a base64 data URL.")
    size = 0
    first = b""
    try:
        for start in range(0, len(encoded), _STEP):
            content = base64.b64decode(encoded[start : start + _STEP], validate=True)
            first = first or content[:16]
            size += len(content)
            await asyncio.sleep(0)
    except (binascii.Error, ValueError):
        raise InvalidRequest.field(field, "Is not valid base64.") from None
    return f"data:{media_type(first)};base64,{encoded}", size
