"""`/console` and `/docs`: pages for people, made of files of this server alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.helpers import ETAG_ANY

from chuk.console import MEDIA_TYPES, Asset, assets_of
from chuk.errors import NotFound
from chuk.settings import Settings
from chuk.web.loopback import is_local, is_loopback
from chuk.web.routes import Auth, Route, RouteTable

_INDEX = "index.html"
_TAG = "pages"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def hang(routes: RouteTable, root: web.Application, settings: Settings) -> None:
    """Hang both pages on the root; the console only where the settings want it."""
    policy = content_policy()
    routes.mount(root, "", _page_routes("docs", "The API reference", _Page("docs", policy)))
    if is_console_on(settings):
        policy = content_policy(pictures_of(settings.server.public_url))
        page = _Page("console", policy, local_only=settings.server.console == "auto")
        routes.mount(root, "", _page_routes("console", "A page to try everything", page))


def is_console_on(settings: Settings) -> bool:
    """Whether there is a console at all.

    By itself only where nobody but this machine's people come: it listens on a loopback address,
    nobody else signs people in, and nothing says that it is known by another name. It gives
    nobody more than the API does; but a page for developers is not what a visitor should find.
    """
    server = settings.server
    if server.console != "auto":
        return server.console == "on"
    public = urlsplit(server.public_url).hostname
    return (
        is_loopback(server.host)
        and not settings.supabase.url
        and not server.trusted_proxies
        and (public is None or is_loopback(public))
    )


def pictures_of(public_url: str) -> str:
    """Where the console's pictures come from, beside its own address.

    Those that somebody attaches are in the page itself. Those that were drawn here are named by
    the public address, which may be another one.
    """
    own = urlsplit(public_url)
    return f" data: {own.scheme}://{own.netloc}" if own.netloc else " data:"


def content_policy(pictures: str = "") -> str:
    """What a page may load and do: what comes from here, and nothing written into the page.

    Args:
        pictures: more sources of pictures, each after a space.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self'{pictures}",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # No text ever becomes markup or script, whoever wrote it.
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


class _Page:
    """Gives out one page and its files.

    Args:
        local_only: nobody but this machine's people find it.
    """

    def __init__(self, name: str, policy: str, *, local_only: bool = False) -> None:
        self._assets = assets_of(name)
        self._local_only = local_only
        self._headers = {
            # Ask each time, and be told that nothing has changed.
            hdrs.CACHE_CONTROL: "no-cache",
            "Content-Security-Policy": policy,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
            "Referrer-Policy": "no-referrer",
        }

    async def index(self, request: web.Request) -> web.Response:
        """The page itself."""
        return self._answer(request, _INDEX)

    async def asset(self, request: web.Request) -> web.Response:
        """One of its files."""
        return self._answer(request, request.match_info["name"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        asset: Asset | None = self._assets.get(name)
        if asset is None or (self._local_only and not is_local(request)):
            raise NotFound
        headers = {**self._headers, hdrs.ETAG: f'"{asset.tag}"'}
        if any(each.value in (asset.tag, ETAG_ANY) for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=asset.body, content_type=asset.media_type, charset="utf-8", headers=headers
        )


def _page_routes(name: str, summary: str, page: _Page) -> list[Route]:
    """Not limited: they are bytes in memory, and a page is a dozen of them at once."""
    return [
        Route(
            "GET",
            f"/{name}",
            page.index,
            summary,
            _TAG,
            auth=Auth.NONE,
            bucket=None,
            media_type="text/html",
            errors=(NotFound,),
        ),
        Route(
            "GET",
            f"/{name}/{{name}}",
            page.asset,
            f"A file of /{name}",
            _TAG,
            auth=Auth.NONE,
            bucket=None,
            media_type=tuple(MEDIA_TYPES.values()),
            errors=(NotFound,),
        ),
    ]
