"""What no file of this repository may hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LONGEST = 400

FORBIDDEN = {
    "an unfinished mark": r"\b(?:TODO|FIXME|XXX|HACK)\b",
    "somebody's own folder": r"(?<![\w.~:/])/(?:home|root|Users)/\w",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a key of a service": r"\b(?:sk-or-v1-|sk_live_|rk_live_|whsec_|gsk_)[A-Za-z0-9]{16,}",
    "a token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a package index": r"--(?:extra-)?index-url|files\.pythonhosted\.org|file:///",
    "a conflict": r"^(?:<{7}|>{7}) ",
}
TALKATIVE = {"cli.py", "server.py"}


def repository_files() -> list[Path]:
    """All text files that belong to the repository, but for this one, which names it all."""
    folders = (
        ROOT / name for name in (".ci", "chuk", "config", "docs", "locks", "scripts", "tests")
    )
    inside = (path for folder in folders for path in folder.rglob("*"))
    paths = {*ROOT.glob("*.*"), ROOT / "LICENSE", *inside} - {ROOT / ".env", Path(__file__)}
    return sorted(
        path
        for path in paths
        if path.is_file()
        and "_cache" not in str(path)
        and "node_modules" not in path.parts
        # Documents for the readers: of many formats, and not all of them text.
        and path.parent.name != "kept"
        and b"\0" not in path.read_bytes()
    )


def code_files() -> list[Path]:
    """The server's own modules."""
    return sorted((ROOT / "chuk").rglob("*.py"))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what], re.MULTILINE)
    assert [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in repository_files()
        if (found := pattern.search(path.read_text("utf-8")))
    ] == []


def test_no_module_is_too_long_to_be_read_in_one_go() -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in code_files()}
    assert {path.name: length for path, length in lengths.items() if length > LONGEST} == {}


def test_only_commands_print() -> None:
    printing = [path for path in code_files() if re.search(r"\bprint\(", path.read_text("utf-8"))]
    assert {path.name for path in printing if path.parent.name != "commands"} <= TALKATIVE


def test_only_the_settings_read_the_environment() -> None:
    pattern = re.compile(r"\b(?:environ|getenv|dotenv)\b")
    reading = [path for path in code_files() if pattern.search(path.read_text("utf-8"))]
    assert {path.parent.name for path in reading} == {"settings"}


def test_every_script_can_be_run() -> None:
    scripts = [ROOT / ".ci/run", *(path for path in (ROOT / "scripts").iterdir() if path.is_file())]
    assert [path.name for path in scripts if not path.stat().st_mode & 0o100] == []
