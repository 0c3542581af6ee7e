"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmark import canned_upstream

_PACKAGES = ("aiohttp", "uvloop", "orjson", "fastapi", "uvicorn", "httpx", "sse-starlette")


@dataclass(frozen=True, slots=True)
class Cores:
    """The relays' one core, and the cores of clients and upstreams."""

    relay: tuple[int, ...]
    load: tuple[int, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Every core."""
        return (*self.relay, *self.load)


def cores() -> Cores:
    """Split the cores this process may use.

    Raises:
        ValueError: there is only one, so that the load would take from what it measures.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        raise ValueError("two cores are needed: one for the relay, one for the load")
    return Cores(relay=(available[0],), load=tuple(available[1:]))


def raise_descriptor_limit(wanted: int) -> None:
    """Let this process and its children open this many files.

    Raises:
        ValueError: the system's hard limit is below that.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ValueError(f"{wanted} open files are needed, the limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def describe(checkout: Path) -> dict[str, str]:
    """Machine and versions, for people."""
    facts = {
        "machine": f"{_processor()}, {os.cpu_count()} cores, one for the relay",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "missing"
    facts["nginx"] = _first_word_after("/", _said([canned_upstream.program(), "-v"]))
    facts["wrk"] = _first_word_after("wrk ", _said(["wrk", "-v"]))
    facts["commit"] = _commit(checkout)
    return facts


def _commit(checkout: Path) -> str:
    """The checkout's commit, where it is one and git is there."""
    try:
        return subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _said(command: Sequence[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    # wrk reports its version with an exit code of 1.
    return (run.stdout + run.stderr).strip()


def _first_word_after(mark: str, text: str) -> str:
    return (text.partition(mark)[2].split() or ["unknown"])[0]
