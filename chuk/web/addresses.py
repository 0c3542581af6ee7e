"""The address that a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientAddresses:
    """Tells the client's address: the peer's, or what a trusted proxy says of it.

    Args:
        trusted_proxies: addresses or networks (`10.0.0.0/8`) whose `X-Forwarded-For` counts.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = tuple(ipaddress.ip_network(text) for text in trusted_proxies)

    def of(self, request: web.BaseRequest) -> str:
        """The rightmost address that is not one of our proxies; anything left of it is hearsay."""
        address = request.remote or ""
        if not self._trusted or not self._is_trusted(address):
            return address
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for hop in reversed(hops):
            candidate = hop.strip()
            if not _is_address(candidate):
                break
            address = candidate
            if not self._is_trusted(address):
                break
        return address

    def _is_trusted(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
