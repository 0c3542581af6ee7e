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
_ZEROS = 0.2
# The encodings that files of other days are in, the more likely first; among all that there are,
# too many look alike.
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
    sample = data[:_SAMPLE]
    first, second = sample[::2].count(0), sample[1::2].count(0)
    wide = "utf-16-be" if first > second else "utf-16-le"
    # Plain letters of UTF-16 without its mark are good UTF-8 too, with a zero beside each.
    if max(first, second) > len(sample) * _ZEROS:
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if first or second:
        return data.decode(wide, "replace")
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

    matches = from_bytes(data[:_SAMPLE], cp_isolation=_LIKELY)
    best = matches.best()
    if best is None:
        return "cp1252"
    # Western and eastern Europe's differ in few letters, so that either may look as good.
    merits = (best.chaos, best.coherence)
    equals = [one.encoding for one in matches if (one.chaos, one.coherence) == merits]
    return min(equals, key=_LIKELY.index)
