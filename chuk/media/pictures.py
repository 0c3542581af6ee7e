"""The pictures that this server gives out: kept for a while, found by an unguessable name.

Whoever knows a picture's name may see it, so the name is the secret: 32 random bytes. Nothing is
kept beside the picture, not even whose it is.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import Protocol

from chuk.clock import Clock, utc_now
from chuk.errors import ServiceUnavailable
from chuk.logs import log_failure, logger

MAX_BYTES = 4_000_000
"""No picture that is given out has more."""

SHORTEST_KEEP = 3_600.0
"""Seconds for which every picture can be had at least."""

_MOST_BYTES = 2**30
_SWEEP_INTERVAL = 60.0
_FULL_RETRY = 60
_NAME = re.compile(r"[A-Za-z0-9_-]{43}\.(jpg|png|webp)")
_UNFINISHED = ".part"


class PictureKind(StrEnum):
    """How a picture is written; the value ends its name."""

    JPEG = "jpg"
    PNG = "png"
    WEBP = "webp"

    @property
    def media_type(self) -> str:
        return "image/jpeg" if self is PictureKind.JPEG else f"image/{self.value}"


def kind_of(data: bytes) -> PictureKind | None:
    """What these bytes begin like; None: no picture that is given out."""
    if data.startswith(b"\xff\xd8\xff"):
        return PictureKind.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PictureKind.PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return PictureKind.WEBP
    return None


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture that can be had now.

    Attributes:
        seconds_left: until it is gone; at least 1.
    """

    path: Path
    kind: PictureKind
    seconds_left: int


class PictureCopies(Protocol):
    """Where processes without a common folder find each other's pictures, for `SHORTEST_KEEP`.

    Neither method raises: a copy that fails is counted, and is not there.
    """

    async def put(self, name: str, data: bytes, moment: datetime) -> None:
        """Keep a copy of a picture that was made then."""
        ...

    async def get(self, name: str) -> tuple[bytes, datetime] | None:
        """A picture that another process made, and when."""
        ...


class Pictures:
    """A folder of pictures that expire.

    Args:
        keep: seconds that each is kept.
        copies: where the other processes' pictures are; None where the folder has them all.
        most_bytes: of all together; the oldest give way, but none before `SHORTEST_KEEP`.
        sleep: how the sweep waits.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: float,
        most_bytes: int = _MOST_BYTES,
        copies: PictureCopies | None = None,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._folder = folder.absolute()
        self._keep = max(keep, SHORTEST_KEEP)
        self._most_bytes = most_bytes
        self._copies = copies
        self._clock = clock
        self._sleep = sleep
        self._used = 0
        self._room = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Make the folder, drop what has expired, and go on dropping in the background.

        Raises:
            OSError: the folder cannot be made.
        """
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        await self.sweep()
        self._sweeping = asyncio.create_task(self._sweep_for_ever(), name="pictures")

    async def close(self) -> None:
        """Stop sweeping. Idempotent."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
            self._sweeping = None

    async def save(self, data: bytes, kind: PictureKind) -> str:
        """Keep a picture, whole or not at all, and return its name.

        Raises:
            ServiceUnavailable: there is no room, and all that is kept is still promised.
            OSError: the disk does not take it.
        """
        name, moment = f"{token_urlsafe(32)}.{kind.value}", self._clock()
        await self._keep_file(name, data, moment)
        if self._copies is not None:
            await self._copies.put(name, data, moment)
        return name

    async def fetch(self, name: str) -> Kept | None:
        """Like `find`, and what another process has made as well.

        Raises:
            ServiceUnavailable: there is no room for it here.
            OSError: the disk does not take it.
        """
        found = self.find(name)
        if found is not None or self._copies is None or _NAME.fullmatch(name) is None:
            return found
        copy = await self._copies.get(name)
        if copy is not None:
            await self._keep_file(name, *copy)
        return self.find(name)

    async def _keep_file(self, name: str, data: bytes, moment: datetime) -> None:
        async with self._room:
            await self._make_room(len(data))
            writing = asyncio.ensure_future(asyncio.to_thread(self._write, name, data, moment))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                # Nobody will ever hear the name.
                writing.add_done_callback(lambda done: self._drop(done, name))
                raise
            self._used += len(data)

    def find(self, name: str) -> Kept | None:
        """The picture of this name; None: there is none, or no longer."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        path = self._folder / name
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        left = found.st_mtime + self._keep - self._clock().timestamp()
        if left <= 0 or not stat.S_ISREG(found.st_mode):
            return None
        return Kept(path, PictureKind(match[1]), max(1, int(left)))

    async def sweep(self) -> None:
        """Drop what has expired, and what a crash left half written."""
        self._used = await asyncio.to_thread(self._swept)

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._sleep(_SWEEP_INTERVAL)
            try:
                async with self._room:
                    await self.sweep()
            except OSError as error:
                log_failure("pictures", error)

    async def _make_room(self, size: int) -> None:
        if self._used + size <= self._most_bytes:
            return
        self._used = await asyncio.to_thread(self._swept, size)
        if self._used + size > self._most_bytes:
            logger("pictures").warning("full", used=self._used, most=self._most_bytes)
            raise ServiceUnavailable(retry_after=_FULL_RETRY)

    def _swept(self, needed: int = 0) -> int:
        """Drop what may go; then, for `needed` bytes, the oldest. Returns the bytes in use."""
        now = self._clock().timestamp()
        kept: list[tuple[float, int, Path]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    unfinished = entry.name.endswith(_UNFINISHED)
                    longest = SHORTEST_KEEP if unfinished else self._keep
                    if now - found.st_mtime >= longest:
                        Path(entry.path).unlink()
                    elif not unfinished:
                        kept.append((found.st_mtime, found.st_size, Path(entry.path)))
        used = sum(size for _, size, _ in kept)
        for moment, size, path in sorted(kept):
            if used + needed <= self._most_bytes or now - moment < SHORTEST_KEEP:
                break
            path.unlink(missing_ok=True)
            used -= size
        return used

    def _write(self, name: str, data: bytes, moment: datetime) -> None:
        """Write beside its place first: a picture is there whole or not at all."""
        # Two processes may take the same copy at once.
        unfinished = self._folder / f"{name}.{token_hex(8)}{_UNFINISHED}"
        try:
            with os.fdopen(
                os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb"
            ) as (file):
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.utime(unfinished, (moment.timestamp(), moment.timestamp()))
            unfinished.replace(self._folder / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _drop(self, written: asyncio.Future[None], name: str) -> None:
        if not written.cancelled() and written.exception() is None:
            (self._folder / name).unlink(missing_ok=True)
