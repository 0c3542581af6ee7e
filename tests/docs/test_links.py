"""What the documents point at is there: files, headings, settings, routes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chuk.settings import describe
from tests.docs.commands import ROOT, documents

NAMES = [str(file.relative_to(ROOT)) for file in documents()]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```.*?^ *```", re.S | re.M)
FILE = re.compile(
    r"`((?:chuk|config|docs|scripts|tests|locks)/[\w./@-]+|[A-Z]+\.md)`",
)
VARIABLE = re.compile(r"`(CHUK_[A-Z_]+)(?:=[^`]*)?`")
# Read before any setting is, or by scripts alone.
BESIDES = {"CHUK_CONFIG"}


def prose(name: str) -> str:
    """A document without its blocks of code."""
    return FENCE.sub("", (ROOT / name).read_text("utf-8"))


def anchors(file: Path) -> set[str]:
    """Where its headings can be jumped to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(str(file.relative_to(ROOT))), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each).lower() for each in headings)
    return {re.sub(r"[^\w\- ]", "", each).replace(" ", "-") for each in plain}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in LINK.findall(prose(name)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_is_there(name: str) -> None:
    for named in FILE.findall(prose(name)):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_named_is_there(name: str) -> None:
    known = {each.env for each in describe()} | BESIDES
    assert set(VARIABLE.findall(prose(name))) - known == set()


def test_the_readme_leads_to_every_document() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert [name for name in NAMES if name != "README.md" and f"({name})" not in readme] == []


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 350
