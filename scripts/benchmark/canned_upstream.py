"""An upstream that costs almost nothing: nginx, which sends one of several files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmark import answers
from benchmark.processes import Pinned, accepts

_VARIANTS = 8

_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.log warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    open_file_cache max=64 inactive=1h;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ }}
    split_clients "$connection-$connection_requests" $variant {{
{variants}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder}/files;
        # A static file refuses POST; its refusal is where the file is sent from.
        location = /api/v1/chat/completions {{
            error_page 405 =200 /answers/$variant;
            return 405;
        }}
        location /answers/ {{ internal; default_type text/event-stream; }}
        location /api/v1/ {{ default_type application/json; try_files $uri.json =404; }}
    }}
}}
"""


def start(port: int, *, cores: Sequence[int], folder: Path) -> Pinned:
    """Start nginx on this port; it is ready when this returns.

    Raises:
        StartFailed: nginx did not come up.
    """
    home = folder / "canned-upstream"
    _write_files(home / "files")
    shares = [f'        {100 // _VARIANTS}% "{number}.sse";' for number in range(_VARIANTS - 1)]
    shares.append(f'        * "{_VARIANTS - 1}.sse";')
    configuration = home / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=home, port=port, variants="\n".join(shares))
    )
    nginx = Pinned(
        "nginx", [program(), "-p", str(home), "-c", str(configuration)], cores=cores, folder=folder
    )
    try:
        nginx.wait_until(lambda: accepts(port))
    except BaseException:
        nginx.stop()
        raise
    return nginx


def program() -> str:
    """Where nginx is; Debian keeps it out of an ordinary user's path."""
    return shutil.which("nginx") or "/usr/sbin/nginx"


def _write_files(root: Path) -> None:
    (root / "answers").mkdir(parents=True)
    for number in range(_VARIANTS):
        (root / "answers" / f"{number}.sse").write_bytes(answers.stream(seed=number))
    for path, body in answers.catalogue().items():
        file = root / f"api/v1{path}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
