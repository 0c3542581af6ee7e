"""The address that a request comes from, as limits count it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from aiohttp import web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# One line's share of IPv6: whoever has it may call from any of its addresses.
_IPV6_SHARE = 64


class ClientAddresses:
    """Tells the client's address: the peer's, or what a trusted proxy says of it.

    Args:
        trusted_proxies: addresses or networks (`10.0.0.0/8`) whose `X-Forwarded-For` counts.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = tuple(ipaddress.ip_network(text) for text in trusted_proxies)

    def of(self, request: web.BaseRequest) -> str:
        """The rightmost address that is not one of our proxies; anything left of it is hearsay.

        Always in the same spelling: `2001:DB8:0::1` and `2001:db8::1` are one client, and so are
        `::ffff:192.0.2.1` and `192.0.2.1`. Of IPv6 it is the network of 64 bits.
        """
        remote = request.remote or ""
        address = _parsed(remote)
        if address is None:
            # A peer on a Unix socket.
            return remote
        if not self._is_trusted(address):
            return _counted(address)
        hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        for hop in reversed(hops):
            candidate = _parsed(hop.strip())
            if candidate is None:
                break
            address = candidate
            if not self._is_trusted(address):
                break
        return _counted(address)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _counted(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((int(address), _IPV6_SHARE), strict=False))


def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
