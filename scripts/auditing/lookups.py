"""What pip-audit and npm say of a lock. Their exit codes do not tell a hole from a failure."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CANARY = Path(__file__).with_name("canary.txt")
# Seconds for all packages of a lock, one request each.
_PATIENCE = 900


class NotLookedUp(Exception):
    """Of this nothing is known; the text says why."""


@dataclass(frozen=True)
class Finding:
    """A hole that a database knows of.

    Attributes:
        hole: its id.
        remedy: what mends it; empty when nothing does yet.
    """

    package: str
    version: str
    hole: str
    remedy: str


@dataclass(frozen=True)
class Told:
    """What a database told of a lock.

    Attributes:
        missing: packages it does not know, with the reason; of those nothing is known.
    """

    findings: list[Finding]
    missing: list[str]


class PipAudit:
    """The program, asking one of the databases it knows."""

    def __init__(self, program: str, service: str) -> None:
        self._command = [program, "--vulnerability-service", service, "--format", "json"]
        self._command += ["--progress-spinner", "off", "--desc", "off", "--timeout", "20"]

    def prove(self) -> None:
        """See that the database knows of the holes of a version that has some.

        Raises:
            NotLookedUp: it does not, or it does not answer.
        """
        told = self._asked("--no-deps", "--disable-pip", "--requirement", str(_CANARY))
        if not told.findings:
            raise NotLookedUp("; ".join(told.missing) or "it has no advisories")

    def look_up(self, lock: Path) -> Told:
        """The known holes of what a lock pins. It is complete, so nothing is resolved.

        Raises:
            NotLookedUp: the database does not answer.
        """
        return self._asked("--require-hashes", "--disable-pip", "--requirement", str(lock))

    def _asked(self, *options: str) -> Told:
        told = _said([*self._command, *options])
        findings = []
        missing = []
        for package in told["dependencies"]:
            name = package["name"]
            if "skip_reason" in package:
                missing.append(f"{name}: {package['skip_reason']}")
                continue
            for hole in package["vulns"]:
                remedy = " or ".join(hole["fix_versions"])
                remedy = remedy and f"mended in {remedy}"
                findings.append(Finding(name, package["version"], hole["id"], remedy))
        return Told(findings, missing)


def npm(lock: Path) -> Told:
    """The known holes of what npm's lock pins.

    Raises:
        NotLookedUp: there is no npm, or its registry has no advisories.
    """
    program = shutil.which("npm")
    if program is None:
        raise NotLookedUp("there is no npm")
    told = _said([program, "audit", "--package-lock-only", "--json"], lock.parent)
    if "vulnerabilities" not in told:
        refusal = told.get("error", {}).get("summary") or told.get("message")
        raise NotLookedUp(f"npm: {refusal or 'it answered something else'}")
    findings = [
        Finding(name, package["range"], hole.get("url") or hole["title"], "")
        for name, package in told["vulnerabilities"].items()
        for hole in package["via"]
        # A text names another package of this list, whose hole it is.
        if isinstance(hole, dict)
    ]
    return Told(findings, [])


def _said(command: list[str], folder: Path | None = None) -> dict[str, Any]:
    """The JSON a program answers with, whatever its exit code."""
    try:
        ended = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotLookedUp(f"no answer in {_PATIENCE} seconds") from None
    try:
        told = json.loads(ended.stdout)
    except ValueError:
        last = ended.stderr.strip().rpartition("\n")[2]
        raise NotLookedUp(last or f"exit code {ended.returncode} without a word") from None
    if not isinstance(told, dict):
        raise NotLookedUp("it answered something else")
    return told
