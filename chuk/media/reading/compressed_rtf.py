"""Rich text as Outlook packs it, see [MS-OXRTFCP]."""

from __future__ import annotations

import struct

_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_WINDOW, _HEAD = 4096, 16
_MOST = 20_000_000
# What every such text may refer back to before it has said anything itself.
_BEGINNING = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern "
    rb"\fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0"
    b"\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def unpacked(data: bytes) -> bytes:
    """The rich text.

    Raises:
        ValueError: this is none, or it unpacks to more than can be read.
    """
    if len(data) < _HEAD:
        raise ValueError("no head")
    _, _, kind, _ = struct.unpack_from("<4I", data)
    if kind == _PLAIN:
        return data[_HEAD:]
    if kind != _COMPRESSED:
        raise ValueError("no rich text")
    window = bytearray(_BEGINNING.ljust(_WINDOW, b"\0"))
    end, at = len(_BEGINNING), _HEAD
    text = bytearray()
    while at < len(data) and len(text) <= _MOST:
        flags, at = data[at], at + 1
        for bit in range(8):
            if flags >> bit & 1:
                # Where in the window, and how many from there.
                reference = int.from_bytes(data[at : at + 2], "big")
                at += 2
                place, count = reference >> 4, (reference & 15) + 2
                if place == end or at > len(data):
                    return bytes(text)
                # Byte by byte, for what is read may be what was just written.
                for step in range(count):
                    byte = window[(place + step) % _WINDOW]
                    window[end] = byte
                    text.append(byte)
                    end = (end + 1) % _WINDOW
            else:
                if at >= len(data):
                    return bytes(text)
                window[end] = data[at]
                text.append(data[at])
                end, at = (end + 1) % _WINDOW, at + 1
    if len(text) > _MOST:
        raise ValueError("too long")
    return bytes(text)
