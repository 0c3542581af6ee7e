"""Settings that the service manager hands over as files which nobody else can read.

systemd's `LoadCredential=` puts them into a folder in memory, which `CREDENTIALS_DIRECTORY` names,
for as long as the service runs: unlike a variable they are not inherited by every child.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chuk.settings.errors import SettingsError

_FOLDER = "CREDENTIALS_DIRECTORY"
# What systemd puts before the names in a folder that it hands over as a whole.
_PREFIX = "chuk_"


def credentials(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What stands in each file, by the variable that it is named like.

    `OPENROUTER_API_KEY` and `chuk_OPENROUTER_API_KEY` both stand for that variable. White space at
    both ends does not count.

    Raises:
        SettingsError: one of them cannot be read, or is not text.
    """
    folder = environ.get(_FOLDER, "")
    if not folder:
        return {}
    found: dict[str, str] = {}
    try:
        for file in sorted(Path(folder).iterdir()):
            if file.is_file():
                name = file.name.removeprefix(_PREFIX)
                found[name] = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {type(error).__name__}"
        raise SettingsError(_FOLDER, problem, "the environment") from None
    return found
