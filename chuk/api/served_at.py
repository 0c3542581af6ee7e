"""Where clients find this server."""

from __future__ import annotations

from aiohttp import web

from chuk.web.keys import SETTINGS


def served_at(request: web.Request) -> str:
    """The address that clients use, without a slash at the end."""
    public_url = request.config_dict[SETTINGS].server.public_url
    return (public_url or f"{request.scheme}://{request.host}").rstrip("/")
