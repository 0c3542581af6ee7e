"""The key that seals what Redis keeps of answers."""

from __future__ import annotations

from base64 import b64decode

from chuk.accounts.issuer import installation_secret
from chuk.adapters.redis.sealing import Seals
from chuk.settings import Settings


def stream_seals(settings: Settings) -> Seals:
    """Seals made from the key of the settings, or from this installation's own.

    Raises:
        OSError: the data folder cannot be written.
    """
    if settings.redis.stream_key:
        return Seals(b64decode(settings.redis.stream_key))
    return Seals(installation_secret(settings.server.data_dir / "secrets", "stream.key"))
