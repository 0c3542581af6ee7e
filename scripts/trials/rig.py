"""The server under trial, as a process, and the folder it lives in."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from chuk.adapters.sqlite.database import FILE_NAME
from tests.processes import ServerProcess, run_chuk, served
from trials.verdict import Verdict

CHECKOUT = Path(__file__).resolve().parents[2]
_SETTLING = 60.0

UNLIMITED = {
    **{
        f"CHUK_LIMIT_{kind}": "1000000000"
        for kind in ("CHAT", "AUDIO", "IMAGE", "FILE", "SPEECH", "OTHER", "ADDRESS", "SOCKETS")
    },
    "CHUK_LOG_LEVEL": "error",
    "CHUK_LOG_FORMAT": "json",
}
"""What lets one machine play a crowd."""


@dataclass
class Trial:
    """A server that runs, and all that belongs to it."""

    server: ServerProcess
    client: aiohttp.ClientSession
    folder: Path
    environ: Mapping[str, str]

    @property
    def pid(self) -> int:
        return self.server.process.pid

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def is_alive(self) -> bool:
        """Whether it is still the process that was started."""
        return self.server.process.returncode is None

    def open_holds(self) -> int:
        """Holds that nobody has resolved yet, in books that are SQLite's."""
        file = Path(self.environ["CHUK_DATA_DIR"]) / FILE_NAME
        with closing(sqlite3.connect(file, timeout=30)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM open_holds").fetchone()
        return int(count)

    async def settled(self) -> bool:
        """Wait until no hold is open; false where that takes too long."""
        for _ in range(int(_SETTLING * 5)):
            if self.open_holds() == 0:
                return True
            await asyncio.sleep(0.2)
        return False

    async def prove(self, verdict: Verdict) -> None:
        """Stop the server as a deploy would, and let it prove its books."""
        finished = await self.server.stop(signal.SIGTERM)
        verdict.expect(finished.code == 0, f"the server ended well (exit code {finished.code})")
        errors = [line for line in finished.err.splitlines() if '"level":"error"' in line]
        verdict.expect(not errors, f"it logged no error ({len(errors)})")
        for line in errors[:5]:
            print(f"     {line[:300]}")
        proof = await run_chuk("ledger", "verify", folder=self.folder, **self.environ)
        verdict.expect(proof.code == 0, f"chuk ledger verify: {proof.out.strip()[:200]}")


@contextmanager
def trial_folder() -> Iterator[Path]:
    """A folder with the repository's configuration, but not the `.env` of whoever works in it."""
    with tempfile.TemporaryDirectory(prefix="chuk-trial-") as name:
        folder = Path(name)
        (folder / "config").symlink_to(CHECKOUT / "config")
        yield folder


@asynccontextmanager
async def on_trial(environ: Mapping[str, str], folder: Path) -> AsyncIterator[Trial]:
    """A server that is ready."""
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        served(folder, environ) as server,
        aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=120)
        ) as client,
    ):
        await server.well(client)
        yield Trial(server, client, folder, environ)
