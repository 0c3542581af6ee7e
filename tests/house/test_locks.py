"""The locks: complete, with hashes, and of one mind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools.config.setupcfg import read_configuration

ROOT = Path(__file__).parents[2]
TOGETHER = ("run", "test", "bench")
APART = ("clients", "fuzz", "audit")
GATEWAYS = ROOT / "scripts" / "gateways" / "requirements.txt"
# scripts/lock leaves it out: gigabytes that nothing here uses.
LEFT_OUT = {"sentence-transformers"}

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)((?: ;[^\\]*)?)(.*)$")


def lock_file(name: str) -> Path:
    return ROOT / "locks" / f"{name}.txt"


def pins(file: Path) -> dict[tuple[str, str], str]:
    """Version by name and environment marker; each line must be a pin with hashes."""
    found: dict[tuple[str, str], str] = {}
    text = file.read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pin = _PIN.match(line.strip())
        assert pin is not None, f"{file.name}: {line[:80]}"
        name, version, marker, rest = pin.groups()
        hashes = re.findall(r"--hash=sha256:[0-9a-f]{64}\b", f"{marker}{rest}")
        assert hashes, f"{file.name}: {name} has no hash"
        found[canonicalize_name(name), marker.partition("--hash")[0].strip()] = version
    return found


def names(file: Path) -> set[str]:
    return {name for name, _ in pins(file)}


def versions(file: Path) -> dict[str, set[str]]:
    """Each package's versions: several where platforms or Pythons differ."""
    found: dict[str, set[str]] = {}
    for (package, _), version in pins(file).items():
        found.setdefault(package, set()).add(version)
    return found


def every_lock() -> list[Path]:
    return [*sorted((ROOT / "locks").glob("*.txt")), GATEWAYS]


def test_each_lock_is_known_here() -> None:
    assert {path.stem for path in (ROOT / "locks").glob("*.txt")} == {*TOGETHER, *APART}


@pytest.mark.parametrize("file", every_lock(), ids=lambda path: path.stem)
def test_every_package_is_pinned_with_its_hashes(file: Path) -> None:
    assert pins(file)


@pytest.mark.parametrize("name", ["test", "bench"])
def test_locks_that_are_installed_together_agree_and_hold_all_that_runs(name: str) -> None:
    run, other = versions(lock_file("run")), versions(lock_file(name))
    assert {package: other.get(package) for package in run} == run


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("run", ["local", "vectors", "heic"]),
        ("test", ["local", "vectors", "heic", "test"]),
        ("bench", ["local", "vectors", "heic", "bench"]),
    ],
)
def test_all_that_is_asked_for_is_locked_at_a_version_that_fits(
    lock: str, extras: list[str]
) -> None:
    options = read_configuration(ROOT / "setup.cfg")["options"]
    asked = [*options["install_requires"]]
    for extra in extras:
        asked += options["extras_require"][extra]
    locked = versions(lock_file(lock))
    for text in asked:
        requirement = Requirement(text)
        found = locked.get(canonicalize_name(requirement.name), set())
        assert found, f"{requirement.name} is not in {lock}"
        for version in found:
            assert requirement.specifier.contains(version, prereleases=True), requirement


@pytest.mark.parametrize(
    ("lock", "asked"),
    [
        (lock_file("clients"), ROOT / "tests" / "clients" / "requirements.in"),
        (lock_file("fuzz"), ROOT / "scripts" / "fuzzing" / "requirements.in"),
        (lock_file("audit"), ROOT / "scripts" / "auditing" / "requirements.in"),
        (GATEWAYS, ROOT / "scripts" / "gateways" / "requirements.in"),
    ],
    ids=lambda path: path.stem,
)
def test_what_is_apart_has_what_it_asks_for(lock: Path, asked: Path) -> None:
    for line in asked.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line)
            assert canonicalize_name(requirement.name) in names(lock)


def test_nothing_that_only_tests_or_measures_runs_in_production() -> None:
    only_tests = names(lock_file("test")) - names(lock_file("run"))
    assert {"pytest", "mypy", "hypothesis", "playwright"} <= only_tests
    assert not LEFT_OUT & names(lock_file("run"))
