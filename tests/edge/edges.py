"""Starts nginx or Caddy with the shipped file, in front of a server of the test's."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from tests.certificates import Authority, Pair

CONFIG = Path(__file__).parents[2] / "config"
HOST = "api.chuk.chat"
_PATIENCE = 20.0

# What the file stands in: the rest of nginx's configuration, as small as it can be.
_AROUND_NGINX = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/errors.log warn;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/chuk.conf;
}}
"""


@dataclass
class Edge:
    """One that runs.

    Attributes:
        url, plain_url: over HTTPS, and without.
        authority: whom its clients must trust.
        client: trusts it, and speaks HTTP/1.1.
    """

    url: str
    plain_url: str
    authority: Authority
    client: aiohttp.ClientSession

    async def curl(self, *options: str) -> bytes:
        """What curl prints. It speaks HTTP/2."""
        async with self.curling(*options) as process:
            out, err = await asyncio.wait_for(process.communicate(), _PATIENCE)
        assert process.returncode == 0, err.decode()
        return out

    @asynccontextmanager
    async def curling(self, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Curl, while it prints; killed at the end."""
        process = await asyncio.create_subprocess_exec(
            "curl",
            *("--http2", "--no-buffer", "--silent", "--show-error"),
            *("--cacert", str(self.authority.file)),
            *options,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def client_of(authority: Authority, *, address: str = "127.0.0.1") -> aiohttp.ClientSession:
    """A client at this address, which trusts this authority."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            ssl=authority.trust(), family=socket.AF_INET, local_addr=(address, 0)
        )
    )


def program(name: str) -> str | None:
    """Where it is; Debian keeps servers out of people's way."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@asynccontextmanager
async def edge(
    name: str, server_url: str, folder: Path, authority: Authority
) -> AsyncIterator[Edge]:
    """Run it until the block ends.

    Args:
        name: `nginx` or `caddy`.
        server_url: of the server behind it.
        folder: for its files.
    """
    pair = authority.sign(name, names=("localhost", "127.0.0.1"))
    secure, plain = free_ports(2)
    server = urlsplit(server_url).netloc
    found = program(name)
    assert found is not None, f"{name} is not installed"
    make = {"nginx": _nginx, "caddy": _caddy}[name]
    command = [found, *make(folder, pair, server, secure, plain)]
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={"HOME": str(folder)}, stdout=log, stderr=log
        )
        try:
            await _accepts(secure, process, folder / f"{name}.log")
            async with client_of(authority) as client:
                here = f"https://localhost:{secure}", f"http://localhost:{plain}"
                yield Edge(*here, authority, client)
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), _PATIENCE)


def free_ports(number: int) -> Sequence[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """The text with what only an operator can know filled in; all of it must be there."""
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    return text


def _nginx(folder: Path, pair: Pair, server: str, secure: int, plain: int) -> list[str]:
    shipped = replaced(
        (CONFIG / "nginx.conf").read_text("utf-8"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("    listen [::]:80;\n", ""),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{secure} ssl http2;"),
        ("    listen [::]:443 ssl http2;\n", ""),
        (f"/etc/letsencrypt/live/{HOST}/fullchain.pem", str(pair.chain)),
        (f"/etc/letsencrypt/live/{HOST}/privkey.pem", str(pair.key)),
        (f"server_name {HOST};", "server_name localhost;"),
        ("server 127.0.0.1:8080", f"server {server}"),
    )
    (folder / "chuk.conf").write_text(shipped, "utf-8")
    # Of a root's server the workers are somebody else, who may not look into this folder.
    user = "user root;" if os.geteuid() == 0 else ""
    around = _AROUND_NGINX.format(folder=folder, user=user)
    (folder / "nginx.conf").write_text(around, "utf-8")
    return ["-p", str(folder), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, pair: Pair, server: str, secure: int, plain: int) -> list[str]:
    here = f"\n\tadmin off\n\thttp_port {plain}\n\thttps_port {secure}\n\tskip_install_trust\n"
    shipped = replaced(
        (CONFIG / "Caddyfile").read_text("utf-8"),
        ("\n{\n\tservers {", f"\n{{{here}\tservers {{"),
        (f"\n{HOST} {{", f"\nlocalhost {{\n\ttls {pair.chain} {pair.key}\n\tbind 127.0.0.1"),
        ("reverse_proxy 127.0.0.1:8080", f"reverse_proxy {server}"),
    )
    (folder / "Caddyfile").write_text(shipped, "utf-8")
    return ["run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


async def _accepts(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            assert process.returncode is None, log.read_text("utf-8")
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            await asyncio.sleep(0.01)
