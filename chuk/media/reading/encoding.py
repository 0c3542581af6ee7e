"""Bytes of text in an encoding that is not always told."""

from __future__ import annotations

import codecs

from chuk.errors import CorruptFile

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# A guess needs something to go by.
_ENOUGH = 120
_SAMPLE = 20_000
# The encodings that files of other days are in; among all that there are, too many look alike.
_LIKELY = [
    "cp1252", "cp1251", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
]  # fmt: skip
# Not one letter is printed by these, and some files are full of them.
_CONTROLS = dict.fromkeys([*range(9), 11, *range(14, 27), *range(28, 32), 127], "")


def decode(data: bytes, declared: str | None = None) -> str:
    """The text with plain line ends: by its mark, as UTF-8, as declared, or by guessing.

    Args:
        declared: the encoding that the text itself, or who sent it, says it has.

    Raises:
        CorruptFile: this is not text.
    """
    text = _decoded(data, declared)
    cleaned = text.translate(_CONTROLS)
    if len(text) - len(cleaned) > len(text) // 20 + 1:
        raise CorruptFile("This file is not text.")
    return cleaned.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes, declared: str | None) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            # An odd last byte is no reason to read nothing.
            return data.decode(name, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if b"\0" in data[:_SAMPLE]:
        first, second = data[:_SAMPLE:2].count(0), data[1:_SAMPLE:2].count(0)
        return data.decode("utf-16-be" if first > second else "utf-16-le", "replace")
    if declared:
        try:
            return data.decode(declared)
        # An unknown name, a codec that is not for text, or a wrong claim.
        except (LookupError, UnicodeError, ValueError):
            pass
    return data.decode(_guessed(data) if len(data) >= _ENOUGH else "cp1252", "replace")


def _guessed(data: bytes) -> str:
    # Loaded only for the few texts that need it.
    from charset_normalizer import from_bytes  # noqa: PLC0415

    best = from_bytes(data[:_SAMPLE], cp_isolation=_LIKELY).best()
    if best is None:
        return "cp1252"
    return str(best.encoding)
