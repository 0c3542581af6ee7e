"""A machine to deploy to, in a folder: the real scripts, and a stand-in for systemd."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.instances import REPOSITORY
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.systemd import FakeSystemd
from tests.processes import Finished
from tests.watch.test_site import free_port

_SHIPPED = ("chuk", "config", "scripts", "locks", "setup.cfg", "pyproject.toml", "README.md")
_AUTHOR = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")


@dataclass
class Machine:
    """One machine, and a repository to deploy from.

    Attributes:
        root: what is `/` elsewhere.
        source: the repository; what is not committed in it is refused.
        numbers: the port at which its server tells its numbers.
    """

    root: Path
    source: Path
    systemd: FakeSystemd
    numbers: int = field(default_factory=free_port)

    @property
    def opt(self) -> Path:
        """Where the releases are."""
        return self.root / "opt/chuk"

    @property
    def data(self) -> Path:
        """The service's state."""
        return self.root / "var/lib/chuk"

    @property
    def current(self) -> str:
        """The release that serves."""
        return (self.opt / "current").readlink().name

    def change(
        self, file: str = "README.md", old: str = "", new: str = "Another release.\n"
    ) -> str:
        """Commit a change; returns the name of the release that it makes."""
        path = self.source / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1) if old else text + new, "utf-8")
        return self.commit()

    def commit(self) -> str:
        """Commit everything; returns the name of the release."""
        git(self.source, "add", "--all")
        git(self.source, *_AUTHOR, "commit", "--quiet", "--message", "a change")
        head = git(self.source, "rev-parse", "--short=12", "HEAD")
        return f"0.1.0-{head}"

    async def script(self, name: str, *arguments: str, **environ: str) -> Finished:
        """Run one of the scripts on this machine."""
        process = await asyncio.create_subprocess_exec(
            # Whoever runs the tests may ignore hang-ups, as nohup does; no shell can undo that.
            *("env", "--default-signal=HUP", str(self.source / "scripts" / name)),
            *("--root", str(self.root), *arguments),
            env={
                "PATH": "/usr/sbin:/usr/bin:/bin",
                "SYSTEMCTL": str(self.systemd.program),
                **environ,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await process.communicate()
        finally:
            # A test that gave up leaves no deployment that keeps the next one out.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())

    async def deploy(self, *arguments: str, **environ: str) -> Finished:
        """Deploy what is committed, with the environment of these tests."""
        return await self.script("deploy", "--environment", sys.prefix, *arguments, **environ)


@asynccontextmanager
async def machine(folder: Path, openrouter: FakeOpenRouter) -> AsyncIterator[Machine]:
    """A machine without anything on it, but for the settings that its operator brings along."""
    source = folder / "source"
    source.mkdir()
    for name in _SHIPPED:
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "gateways", "benchmark")
            shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
        else:
            shutil.copyfile(REPOSITORY / name, source / name)
    git(source, "init", "--quiet")
    async with FakeSystemd(folder / "root") as systemd:
        here = Machine(folder / "root", source, systemd)
        here.commit()
        dropped = systemd.units / "chuk.socket.d"
        dropped.mkdir(parents=True)
        (dropped / "port.conf").write_text("[Socket]\nListenStream=\nListenStream=127.0.0.1:0\n")
        settings = folder / "settings"
        (settings / "credentials").mkdir(parents=True)
        (settings / "credentials" / "OPENROUTER_API_KEY").write_text(f"{openrouter.api_key}\n")
        (settings / "chuk.toml").write_text(
            f'[upstream]\nopenrouter_base_url = "{openrouter.base_url}"\n[log]\nformat = "json"\n'
            # Not the one that a server of this very machine may have.
            f"[metrics]\nport = {here.numbers}\n"
        )
        yield here


def git(folder: Path, *arguments: str) -> str:
    """What git answers."""
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)
    return done.stdout.decode().strip()
