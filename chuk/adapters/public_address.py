"""Whether an address that somebody else names may be asked from inside our network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

_HTTPS = 443


async def is_public(url: str) -> bool:
    """Whether it is HTTPS at a name all of whose addresses are the internet's.

    A machine's own network holds what trusts whoever asks from there: a database, a cloud's
    metadata. The name is looked up once more when it is asked; who can change what it means in
    between gets a TLS handshake out of it, and no request without a certificate for the name.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _HTTPS
    except ValueError:
        return False
    if parts.scheme != "https" or not host or parts.username or parts.password:
        return False
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = {ipaddress.ip_address(entry[4][0]) for entry in found}
    return bool(addresses) and all(each.is_global and not each.is_multicast for each in addresses)
