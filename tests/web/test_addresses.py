"""Which address a request counts for."""

from __future__ import annotations

import pytest

from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.raw_http import raw_connection, request_bytes


async def statuses(server: RunningServer, forwarded: list[list[str]]) -> list[int]:
    """What requests with these `X-Forwarded-For` lines are answered with, one after the other."""
    found = []
    async with raw_connection(server.url) as connection:
        for lines in forwarded:
            head = request_bytes("GET", "/").removesuffix(b"\r\n")
            head += b"".join(b"X-Forwarded-For: %b\r\n" % line.encode() for line in lines)
            await connection.send(head + b"\r\n")
            found.append((await connection.answer()).status)
    return found


async def test_without_a_trusted_proxy_the_peer_is_the_address(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="1") as server:
        assert await statuses(server, [["192.0.2.1"], ["192.0.2.2"]]) == [200, 429]


async def test_a_proxy_that_is_not_the_peer_is_not_believed(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="1", CHUK_TRUSTED_PROXIES="192.0.2.0/24") as server:
        assert await statuses(server, [["198.51.100.1"], ["198.51.100.2"]]) == [200, 429]


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        # Two clients behind the proxy.
        ([["198.51.100.1"], ["198.51.100.2"], ["198.51.100.1"]], [200, 200, 429]),
        # What stands left of the last hop is what the client claims.
        ([["1.1.1.1, 198.51.100.1"], ["2.2.2.2, 198.51.100.1"]], [200, 429]),
        ([["1.1.1.1", "198.51.100.1"], ["2.2.2.2", "198.51.100.1"]], [200, 429]),
        # A chain of our own proxies is walked through.
        ([["198.51.100.1, 10.0.0.1"], ["198.51.100.1, 10.0.0.2"]], [200, 429]),
        ([["198.51.100.1, 10.0.0.1"], ["198.51.100.2, 10.0.0.1"]], [200, 200]),
        # Nonsense counts for the proxy that let it through.
        ([["nonsense"], ["' OR 1=1"], []], [200, 429, 429]),
        ([["1.1.1.1, nonsense"], ["2.2.2.2, nonsense"]], [200, 429]),
        # IPv6, in any spelling, and all the addresses that one line has.
        ([["2001:db8::1"], ["2001:DB8:0:0::1"], ["2001:db8:0:1::1"]], [200, 429, 200]),
        ([["2001:db8::1"], ["2001:db8::ffff:1:2:3"]], [200, 429]),
        ([["::ffff:198.51.100.1"], ["198.51.100.1"]], [200, 429]),
        ([["198.51.100.1, ::ffff:10.0.0.1"], ["198.51.100.2, ::ffff:10.0.0.1"]], [200, 200]),
        ([["198.51.100.1, fd00::1"], ["198.51.100.2, fd00::1"]], [200, 200]),
    ],
)
async def test_a_trusted_proxy_names_the_client(
    start_server: StartServer, forwarded: list[list[str]], expected: list[int]
) -> None:
    async with start_server(
        CHUK_LIMIT_ADDRESS="1", CHUK_TRUSTED_PROXIES="127.0.0.1,10.0.0.0/8,fd00::/8"
    ) as server:
        assert await statuses(server, forwarded) == expected
