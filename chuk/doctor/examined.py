"""What every check is given."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from chuk.settings import Settings

_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Examined:
    """The server whose settings these are.

    Attributes:
        session: for calls to others; each ends by itself in time.
        trust: which certificates clients believe.
    """

    settings: Settings
    session: aiohttp.ClientSession
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    @property
    def public_url(self) -> str:
        """Where clients find it, without a slash at the end; empty: that is not said."""
        return self.settings.server.public_url.rstrip("/")

    @property
    def is_production(self) -> bool:
        """Whether strangers use it: it says of itself that it is found elsewhere than here."""
        host = urlsplit(self.public_url).hostname
        return bool(host) and host not in _HERE
