"""What every check is given."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from chuk.settings import Settings

_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Examined:
    """The server whose settings these are.

    Attributes:
        session: for calls to others; each ends by itself in time.
    """

    settings: Settings
    session: aiohttp.ClientSession

    @property
    def public_url(self) -> str:
        """Where clients find it, without a slash at the end; empty: that is not said."""
        return self.settings.server.public_url.rstrip("/")

    @property
    def is_production(self) -> bool:
        """Whether strangers use it: it says of itself that it is found elsewhere than here."""
        host = urlsplit(self.public_url).hostname
        return bool(host) and host not in _HERE
