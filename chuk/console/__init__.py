"""The pages that a browser gets from this server: their files, and what they say they may do."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import PurePath

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# What both pages use.
_SHARED = ("base.css", "icon.svg", "elements.js", "theme.js", "copying.js")


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent.

    Attributes:
        tag: names this very content.
    """

    body: bytes
    media_type: str
    tag: str


def assets_of(page: str) -> dict[str, Asset]:
    """The files of a page by their names: those in its folder, and what the pages share.

    The page itself is `index.html`.

    Args:
        page: `console` or `docs`.
    """
    here = files(__name__)
    found = {name: _asset(name, (here / "shared" / name).read_bytes()) for name in _SHARED}
    for each in (here / page).iterdir():
        if PurePath(each.name).suffix in MEDIA_TYPES:
            found[each.name] = _asset(each.name, each.read_bytes())
    return found


def _asset(name: str, body: bytes) -> Asset:
    return Asset(body, MEDIA_TYPES[PurePath(name).suffix], sha256(body).hexdigest()[:32])
