"""Who speaks with this machine from this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web


def is_loopback(host: str) -> bool:
    """Whether only this machine can mean itself by this name or address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def asked_host(request: web.BaseRequest) -> str:
    """The name in the request's `Host`, without its port; empty when it cannot be read."""
    try:
        return urlsplit(f"//{request.host}").hostname or ""
    except ValueError:
        return ""


def is_local(request: web.BaseRequest) -> bool:
    """Whether the request came in on a loopback address and asks for one.

    A proxy on this machine passes the first test, but not the second when it hands the name on;
    a page of somebody else whose name was made to point here does not pass the second either.
    """
    transport = request.transport
    own = None if transport is None else transport.get_extra_info("sockname")
    if not isinstance(own, tuple) or not is_loopback(str(own[0])):
        return False
    return is_loopback(asked_host(request)) and "X-Forwarded-For" not in request.headers


def is_numeric(host: str) -> bool:
    """Whether this is an address or this machine's own name, which nobody can point elsewhere."""
    if is_loopback(host):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
