"""Prints what a busy server says of itself, for `promtool check metrics`.

python -m tests.watch.printed
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from tests.redis_server import RedisServer
from tests.watch.traffic import busy_server, told


async def printed() -> str:
    """The numbers of a server to which everything has happened that is counted."""
    # What the server logs is no number.
    with (
        contextlib.closing(RedisServer()) as redis,
        tempfile.TemporaryDirectory(prefix="chuk-watch-") as folder,
        contextlib.redirect_stdout(sys.stderr),
    ):
        redis.start()
        async with busy_server(Path(folder), redis) as server:
            return await told(server)


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(printed()))
