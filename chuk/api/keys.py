"""The services that handlers reach through `request.config_dict`."""

from __future__ import annotations

from aiohttp import web

from chuk.catalog.service import Catalog
from chuk.chat.turn import Turns

CATALOG = web.AppKey("catalog", Catalog)
TURNS = web.AppKey("turns", Turns)
