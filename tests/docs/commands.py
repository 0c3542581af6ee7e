"""The commands in the documents: where they stand, which of them are run, and how."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "console", "bash")

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.S | re.M)
_PATIENCE = 100.0

# What begins so is run. Nothing else ever is: a document may tell somebody to change a machine.
RUN = re.compile(
    r"curl (-\w+ )*(-X \w+ )?\"?(http://127\.0\.0\.1:8080|\$URL)/"
    r"|chuk (doctor|token|openapi|migrate|ledger|grant|billing)\b(?!.*[&;])"
    r"|[A-Z]+=(\$\((\.venv/bin/chuk token|grep )[^;&>]*\)|[^$();&>]*)$"
    r'|AUTH="Authorization: Bearer \$TOKEN"$'
)
# What begins so is not run, and why. Each `chuk` among them is still read by its own parser, and
# each script has to be there.
NOT_RUN: Mapping[str, str] = {
    r"scripts/run": "installs packages, and serves until it is stopped; tests/test_cli.py serves",
    r"scripts/(load|soak|faults|fuzz|audit)": "takes long; tests/trials runs each for a moment",
    r"scripts/(test|bench|document)": "runs what runs here, or measures",
    r"scripts/(deploy|rollback|backup|restore)": "changes a machine; tests/deploy does that to one",
    r"(\w+=\S+ )*chuk serve": "serves until it is stopped; tests/supervision does that",
    r"chuk doctor && chuk serve": "the same",
    r"chuk (backup|restore)": "changes an installation; tests/deploy does that to one",
    r"export ": "made-up addresses and keys of services",
    r"(sudo|ssh|scp|git|apt|apt-get|cd|cp|install|head|openssl|nginx|caddy|certbot) ": "changes a"
    " machine, or needs another one",
    r"(systemctl|systemd-\w+|journalctl|systemd-analyze) ": "needs systemd; tests/deploy reads the"
    " units",
    r"(df|free|top|ss|uptime|redis-cli|psql|loginctl)\b": "looks at a machine",
    r"curl .*:9464/": "tests/watch asks for every metric that is named",
    r"curl .*https://|(\w+=\$\()?scripts/admin ": "asks a machine of somebody's own; tests/deploy"
    " makes one",
    r"(editor|echo|git clone) ": "changes a machine",
    r"stripe ": "needs an account at Stripe",
    r"(docker|pip|npm) ": "fetches packages",
}


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        document: its file, from the root of the repository.
        line: of its opening fence.
    """

    document: str
    line: int
    language: str
    text: str


def documents() -> list[Path]:
    """Everything written for people."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(file: Path) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    text = file.read_text("utf-8")
    for found in _FENCE.finditer(text):
        indent, language, inside = found.groups()
        lines = [line.removeprefix(indent) for line in inside.splitlines()]
        number = text.count("\n", 0, found.start()) + 1
        yield Block(str(file.relative_to(ROOT)), number, language, "\n".join(lines))


def commands(block: Block) -> Iterator[str]:
    """What a shell would run one after the other; comments are left out."""
    joined = block.text.replace("\\\n", " ")
    for line in joined.splitlines():
        command = re.sub(r"(^|\s)#(\s.*)?$", "", line).removeprefix("$ ").strip()
        if command:
            yield command


def shell_commands(file: Path) -> list[str]:
    """All of a document."""
    found = (block for block in blocks(file) if block.language in SHELL)
    return [command for block in found for command in commands(block)]


def is_run(command: str) -> bool:
    """Whether it may be, and shall be."""
    return RUN.match(command) is not None and why_not_run(command) is None


def why_not_run(command: str) -> str | None:
    """The reason, where there is one."""
    return next((why for start, why in NOT_RUN.items() if re.match(start, command)), None)


def to_run(files: Iterable[Path]) -> Iterator[tuple[str, list[str]]]:
    """By document, what is run; the same command of `chuk` only once in all of them."""
    before: set[str] = set()
    for file in files:
        told: list[str] = []
        for command in shell_commands(file):
            if is_run(command) and command not in before:
                told.append(command)
                if command.startswith("chuk "):
                    before.add(command)
        yield str(file.relative_to(ROOT)), told


async def run(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> tuple[int | None, str]:
    """Run a program in a folder; returns its exit code (None: it did not end), and what it said."""
    said = folder / "said.txt"
    with said.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            cwd=folder,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return None, said.read_text("utf-8", "replace")
    return process.returncode, said.read_text("utf-8", "replace")


def prepared(folder: Path) -> Path:
    """A folder as a repository with its `.venv` looks to the commands; returns its programs'."""
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (folder / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    return programs


def whole_script(told: list[str], url: str) -> str:
    """The commands as one script for this server, which ends with the first that fails.

    A pipe fails with any of its parts, and curl with any status that is an error.
    """
    # What stands for somebody's own.
    lines = [
        re.sub(r"\b(USER|UUID)\b(?! *=)", "aaaaaaaa-0000-4000-8000-000000000001", command)
        for command in told
    ]
    head = 'set -euo pipefail\ncurl() { command curl -sS --fail-with-body --max-time 60 "$@"; }\n'
    steps = "".join(f"echo {_quoted('>>> ' + line)}\n{line}\necho\n" for line in lines)
    return head + steps.replace("http://127.0.0.1:8080", url)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
