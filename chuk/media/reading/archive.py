"""Zip archives, and what is packed in them, however deep."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections import Counter

from chuk.errors import ChukError, CorruptFile, UnsupportedFormat
from chuk.media.formats import Format
from chuk.media.reading.desk import Desk
from chuk.media.reading.markdown import escaped, heading
from chuk.media.reading.source import Part, Reading, Source, Text

_CHUNK = 2**16
_MOST_NAMED = 100
_ENCRYPTED = 1
_NOTHING = "Nothing in this archive could be read."
# What systems add, and nobody packed.
_CLUTTER = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


def read(source: Source, desk: Desk) -> Reading:
    """A heading for each member with what stands in it; at the end the names of the others.

    Names are only ever shown: nothing is unpacked under the name it has inside.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(source.data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise CorruptFile("This archive is damaged.") from None
    members = _Members(source, desk)
    with archive:
        for info in archive.infolist():
            if not info.is_dir() and not _is_clutter(info.filename):
                members.read(archive, info)
    return members.reading()


def _is_clutter(name: str) -> bool:
    return name.startswith(_CLUTTER[0]) or name.rpartition("/")[2] in _CLUTTER


class _Members:
    def __init__(self, source: Source, desk: Desk) -> None:
        self._source = source
        self._desk = desk
        self._parts: list[Part] = []
        self._skipped: list[str] = []
        self._unnamed = 0
        self._codes: Counter[str] = Counter()
        self._last_error: ChukError | None = None

    def read(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        """Read one member, or remember that it was not."""
        budget = self._desk.budget
        try:
            if budget.entries <= 0 or budget.characters <= 0:
                budget.has_left_out = True
                raise CorruptFile("There was no room for it.")
            budget.entries -= 1
            data = self._unpacked(archive, info)
            name = f"{self._source.name}/{info.filename}" if self._source.depth else info.filename
            parts = self._desk.read_packed(data, name, self._source)
        except (CorruptFile, UnsupportedFormat) as error:
            self._skip(info.filename, error)
            return
        self._parts += [Text(heading(name)), *parts]

    def reading(self) -> Reading:
        """All of it.

        Raises:
            CorruptFile, UnsupportedFormat: not one member could be read.
        """
        if not self._parts:
            if self._last_error is None:
                raise CorruptFile("This archive is empty.")
            if set(self._codes) == {UnsupportedFormat.code}:
                found = str(self._last_error.details["format"])
                raise UnsupportedFormat(found, [known.value for known in Format])
            why = self._last_error.message
            raise CorruptFile(why if why.startswith(_NOTHING) else f"{_NOTHING} {why}")
        if self._skipped:
            more = f"\n- and {self._unnamed} more" if self._unnamed else ""
            lines = "\n".join(self._skipped) + more
            self._parts.append(Text(f"## Skipped\n\n{lines}"))
        return Reading(self._parts)

    def _skip(self, name: str, error: ChukError) -> None:
        self._codes[error.code] += 1
        self._last_error = error
        if len(self._skipped) >= _MOST_NAMED:
            self._unnamed += 1
            return
        why = "Its format is not read." if error.code == UnsupportedFormat.code else error.message
        self._skipped.append(f"- {escaped(name)[:300]}: {why}")

    def _unpacked(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
        """A member's content; what it says of its own length is not asked."""
        if info.flag_bits & _ENCRYPTED:
            raise CorruptFile("It is protected with a password.")
        pieces: list[bytes] = []
        budget = self._desk.budget
        try:
            with archive.open(info) as member:
                while piece := member.read(_CHUNK):
                    budget.bytes -= len(piece)
                    if budget.bytes < 0:
                        budget.has_left_out = True
                        raise CorruptFile("It unpacks to more than can be read.")
                    pieces.append(piece)
        # Damage shows in as many ways as there are steps of unpacking.
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            RuntimeError,
            ValueError,
            NotImplementedError,
        ):
            raise CorruptFile("It is damaged.") from None
        return b"".join(pieces)
