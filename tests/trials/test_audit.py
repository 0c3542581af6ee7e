"""An audit passes only when all was looked up and nothing was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trials.trial import run

LOCK = "good==1.0 --hash=sha256:00\n"
HOLED = {"name": "pip", "version": "20.0", "vulns": [{"id": "HOLE-1", "fix_versions": ["21.1"]}]}
SOUND = {"name": "good", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "good", "skip_reason": "not found"}

# Stands where pip-audit or npm does: answers for a database and a lock with what a file holds.
STAND_IN = """#!/bin/sh
service=npm file=lock
while [ $# -gt 0 ]; do
    case $1 in
    --vulnerability-service) service=$2 ;;
    --requirement) file=${2##*/} ;;
    esac
    shift
done
cat "${0%/*}/$service.$file" || exit 1
"""


class Databases:
    """What is known where, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "some.txt"
        self.lock.write_text(LOCK)
        self.packages = folder / "package-lock.json"
        self.packages.write_text("{}")
        for name in ("pip-audit", "npm"):
            program = folder / name
            program.write_text(STAND_IN)
            program.chmod(0o700)

    def tells(self, service: str, lock: str, *packages: dict[str, Any]) -> None:
        """A database answers for a lock."""
        told = json.dumps({"dependencies": packages, "fixes": []})
        (self.folder / f"{service}.{lock}").write_text(told)

    def npm_tells(self, told: dict[str, Any]) -> None:
        """Npm's registry answers."""
        (self.folder / "npm.lock").write_text(json.dumps(told))

    async def audit(self, *locks: Path) -> tuple[int, str]:
        """Its exit code, and all that it said."""
        return await run("auditing", str(self.folder / "pip-audit"), *map(str, locks))


@pytest.fixture
def databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Databases:
    """None of them answers yet; npm is the stand-in."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Databases(tmp_path)


async def test_what_nobody_could_look_up_does_not_pass(databases: Databases) -> None:
    code, said = await databases.audit(databases.lock)
    assert code == 9
    assert "no advisory database can be reached" in said
    assert "passed" not in said


async def test_a_database_that_knows_of_no_hole_at_all_is_none(databases: Databases) -> None:
    databases.tells("pypi", "canary.txt", {"name": "pip", "version": "20.0", "vulns": []})
    databases.tells("pypi", "some.txt", SOUND)
    code, said = await databases.audit(databases.lock)
    assert (code, "it has no advisories" in said) == (9, True)


async def test_where_the_index_has_no_advisories_the_other_database_is_asked(
    databases: Databases,
) -> None:
    databases.tells("osv", "canary.txt", HOLED)
    databases.tells("osv", "some.txt", SOUND)
    code, said = await databases.audit(databases.lock)
    assert (code, said.endswith("== audit: passed\n")) == (0, True)
    assert "advisories of osv" in said


async def test_a_known_hole_fails_the_audit_and_is_named(databases: Databases) -> None:
    databases.tells("pypi", "canary.txt", HOLED)
    databases.tells("pypi", "some.txt", SOUND, HOLED)
    code, said = await databases.audit(databases.lock)
    assert code == 1
    assert "pip 20.0: HOLE-1  mended in 21.1" in said


async def test_a_package_that_the_database_does_not_know_does_not_pass(
    databases: Databases,
) -> None:
    databases.tells("pypi", "canary.txt", HOLED)
    databases.tells("pypi", "some.txt", UNKNOWN)
    code, said = await databases.audit(databases.lock)
    assert (code, "NOT LOOKED UP: good: not found" in said) == (9, True)


async def test_a_database_that_is_gone_in_the_middle_is_no_hole(databases: Databases) -> None:
    databases.tells("pypi", "canary.txt", HOLED)
    code, said = await databases.audit(databases.lock)
    assert (code, "known holes" in said) == (9, False)


async def test_what_npm_pins_is_looked_up_too(databases: Databases) -> None:
    hole = {"title": "a hole", "url": "https://example.org/HOLE-2"}
    vulnerable = {"left": {"range": "<2", "via": [hole]}, "right": {"range": "*", "via": ["left"]}}
    for told, expected, word in (
        ({"vulnerabilities": {}}, 0, "passed"),
        ({"vulnerabilities": vulnerable}, 1, "left <2: https://example.org/HOLE-2"),
        ({"error": {"code": "ENOAUDIT", "summary": "no such endpoint"}}, 9, "no such endpoint"),
    ):
        databases.npm_tells(told)
        code, said = await databases.audit(databases.packages)
        assert (code, word in said) == (expected, True), said
