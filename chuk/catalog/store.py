"""The last known good model list, on disk.

One JSON file (`chuk.catalog.encoding`), replaced atomically.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog

from chuk.catalog.encoding import OtherSource, UnreadableList, decode_list, encode_list
from chuk.catalog.models import Model

_MAX_BYTES = 64 * 2**20

_log = structlog.get_logger(part="catalog")


class CatalogStore:
    """Keeps one model list in one file.

    Args:
        file: where; its folder is made when it is missing.
        origin: the source's name, its base URL for one.
    """

    def __init__(self, file: Path, *, origin: str) -> None:
        self._file = file
        self._origin = origin

    async def load(self) -> tuple[Model, ...] | None:
        """The last list saved for this origin; None when there is none that can be used.

        A damaged file is logged and ignored.
        """
        return await asyncio.to_thread(self._load)

    async def save(self, models: Sequence[Model]) -> bool:
        """Replace the list. False, and a line in the log, when the disk refuses."""
        return await asyncio.to_thread(self._save, models)

    def _load(self) -> tuple[Model, ...] | None:
        try:
            with self._file.open("rb") as stream:
                body = stream.read(_MAX_BYTES + 1)
            if len(body) > _MAX_BYTES:
                raise UnreadableList("too large")
            return decode_list(body, self._origin)
        except FileNotFoundError:
            return None
        except OtherSource:
            _log.info("catalog_file_of_another_source")
            return None
        except (OSError, UnreadableList) as error:
            _log.warning("catalog_file_ignored", error=type(error).__name__)
            return None

    def _save(self, models: Sequence[Model]) -> bool:
        body = encode_list(models, self._origin)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(
                dir=self._file.parent, prefix=f".{self._file.name}."
            )
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(body)
                    stream.flush()
                    # Before the rename, or a power cut could leave an empty file behind it.
                    os.fsync(stream.fileno())
                os.replace(name, self._file)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            _log.warning("catalog_file_not_written", error=type(error).__name__)
            return False
        return True
