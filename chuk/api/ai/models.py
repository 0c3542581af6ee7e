"""The model list, for everybody and for the signed-in user."""

from __future__ import annotations

import orjson
from aiohttp import hdrs, web

from chuk.api.keys import CATALOG
from chuk.web.envelope import render_data, request_profile

_MAX_AGE = 60


async def models(request: web.Request) -> web.StreamResponse:
    """The list, or 304 where the client has this very one.

    The tag names the list and the profile; the envelope's time stamp and request id change with
    each answer, which a weak tag allows (RFC 9110 §8.8.1).
    """
    catalog = request.config_dict[CATALOG]
    body = catalog.json()
    tag = f'W/"{catalog.version}-{request_profile(request)}"'
    headers = {
        hdrs.ETAG: tag,
        hdrs.CACHE_CONTROL: f"max-age={_MAX_AGE}",
        hdrs.VARY: hdrs.ACCEPT,
    }
    if tag in [known.strip() for known in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]:
        return web.Response(status=304, headers=headers)
    return render_data(request, orjson.Fragment(body), headers=headers)
