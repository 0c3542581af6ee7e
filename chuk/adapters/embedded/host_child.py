"""The host's process: `python -m chuk.adapters.embedded.host_child ORDERS`.

Started once for a machine by `chuk.supervision`. The orders are JSON: `listening` (a descriptor),
`parent`, `data_dir`, `level` and `json` (of its log, on standard error). It ends when standard
input does, which is when its parent is gone or has told it to.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from chuk import logs
from chuk.adapters.confinement import die_with, set_session_back
from chuk.adapters.embedded.host import Host
from chuk.scratch import own_folder


def main() -> None:
    """Serve until standard input ends."""
    orders = json.loads(sys.argv[1])
    die_with(orders["parent"])
    # The workers, which relay the streams, are of other sessions than what does heavy work here.
    set_session_back()
    # What is meant for the server comes through its parent, when the others need us no more.
    # Not ignored by the kernel: our children would inherit that.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _disregard)
    logs.configure(level=orders["level"], json=orders["json"], for_good=True)
    with own_folder(Path(orders["data_dir"])):
        asyncio.run(_serve(orders))


async def _serve(orders: dict[str, Any]) -> None:
    listening = socket.socket(fileno=orders["listening"])
    listening.set_inheritable(False)
    host = Host()
    await host.start(listening)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()
    await host.close()


def _disregard(_signal: int, _frame: object) -> None:
    """A signal that is not for us."""


if __name__ == "__main__":
    main()
