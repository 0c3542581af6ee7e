"""Where the generated parts stand: between two marks, the rest of a document is written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from scripts.documents.configuration import models_file, settings_tables
from scripts.documents.errors import error_table
from scripts.documents.reference import routes_overview, routes_reference
from scripts.documents.rooms import rooms_table
from scripts.documents.scaling import assumptions_table, figures_table, load_tables

FOLDER = Path(__file__).parents[2] / "docs"

_MARK = re.compile(r"(<!-- made by scripts/document: ([a-z-]+) -->\n)(.*?)(<!-- end -->\n)", re.S)

PARTS: Mapping[str, Callable[[], str]] = {
    "settings": settings_tables,
    "models-file": models_file,
    "overview": routes_overview,
    "routes": routes_reference,
    "errors": error_table,
    "rooms": rooms_table,
    "assumptions": assumptions_table,
    "figures": figures_table,
    "load": load_tables,
}


def documents() -> Iterator[tuple[str, str]]:
    """Each document with a generated part: its name, and what it should say."""
    for file in sorted(FOLDER.glob("*.md")):
        text = file.read_text("utf-8")
        if _MARK.search(text):
            yield file.name, renewed(text)


def renewed(text: str) -> str:
    """A document with each of its generated parts made anew."""
    return _MARK.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[4]}", text)
