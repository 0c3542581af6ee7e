"""The step of a deletion that removes a person's files.

https://supabase.com/docs/guides/storage
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from storage3.utils import StorageException

from chuk.adapters.supabase import answers
from chuk.adapters.supabase.client import SupabaseProject
from chuk.errors import ServiceUnavailable
from chuk.logs import logger

BUCKETS = ("images", "project-files")

_PAGE = 100
# The storage service takes no more names in one request.
_BATCH = 1000
# Files may be added while others are removed; who never stops is looked at again later.
_MOST_ROUNDS = 3

_log = logger("supabase")


class _Entry(NamedTuple):
    name: str
    is_folder: bool


class SupabaseFiles:
    """Empties the user's folder in every bucket. Safe to run again: an empty one stays empty."""

    name = "files"

    def __init__(self, project: SupabaseProject, buckets: tuple[str, ...] = BUCKETS) -> None:
        self._project = project
        self._buckets = buckets

    async def run(self, user_id: UUID) -> None:
        """Remove all files, and look again until there are none.

        Raises:
            ServiceUnavailable: the storage does not answer, or files are still there.
        """
        for bucket in self._buckets:
            for _ in range(_MOST_ROUNDS):
                # All names first: pages would shift under a listing that removes as it goes.
                names = [name async for name in self._names(bucket, str(user_id))]
                if not names:
                    break
                for start in range(0, len(names), _BATCH):
                    await self._remove(bucket, names[start : start + _BATCH])
            else:
                raise ServiceUnavailable

    async def _names(self, bucket: str, folder: str) -> AsyncIterator[str]:
        folders = [folder]
        while folders:
            parent = folders.pop()
            offset = 0
            while page := await self._page(bucket, parent, offset):
                offset += len(page)
                for entry in page:
                    path = f"{parent}/{entry.name}"
                    if entry.is_folder:
                        folders.append(path)
                    else:
                        yield path

    async def _page(self, bucket: str, folder: str, offset: int) -> Sequence[_Entry]:
        try:
            async with self._project.reaching():
                entries = await self._project.client.storage.from_(bucket).list(
                    folder, {"limit": _PAGE, "offset": offset}
                )
        except (StorageException, ValueError) as error:
            raise self._failure(error) from None
        try:
            return answers.each(_entry)(entries)
        except (TypeError, LookupError) as error:
            raise self._failure(error) from None

    async def _remove(self, bucket: str, names: list[str]) -> None:
        try:
            async with self._project.reaching():
                await self._project.client.storage.from_(bucket).remove(names)
        except (StorageException, ValueError) as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> ServiceUnavailable:
        # Never the message: it may name the person's files.
        _log.warning(
            "storage_failed",
            error=type(error).__name__,
            status=str(getattr(error, "status", "")),
        )
        return ServiceUnavailable()


def _entry(answer: Any) -> _Entry:
    row = answers.fields(answer)
    # A folder is only a part of names: it has no id of its own.
    return _Entry(answers.text(row["name"]), row["id"] is None)
