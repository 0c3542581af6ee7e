"""What keeps a command from being done, in a sentence for whoever gave it."""

from __future__ import annotations

from chuk.adapters.sqlite.schema import SchemaError
from chuk.catalog.selection import SelectionError
from chuk.settings import SettingsError

FAILED, WRONG = 1, 2

EXPECTED = (SettingsError, SelectionError, SchemaError, OSError)
"""What `complaint` knows; anything else is a defect."""


def complaint(error: SettingsError | SelectionError | SchemaError | OSError) -> tuple[int, str]:
    """The exit code and the sentence."""
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return FAILED, f"{where}{error.strerror or error}"
    return (FAILED if isinstance(error, SchemaError) else WRONG), str(error)
