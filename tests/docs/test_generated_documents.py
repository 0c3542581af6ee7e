"""The parts of the documents that are made from the code say what the code is now."""

from __future__ import annotations

import re

import pytest

from chuk.settings import describe
from scripts.documents.errors import DETAILS, samples
from scripts.documents.figures import Assumed, Figure, Measured
from scripts.documents.parts import FOLDER, PARTS, documents, renewed
from scripts.documents.scaling import CHATS, Load, chats_of_a_redis, chats_of_a_worker

BENCHMARK = (FOLDER / "benchmark.md").read_text("utf-8")
FIGURES = [each for each in vars(Measured).values() if isinstance(each, Figure) and each.row]
MARK = re.compile(r"<!-- made by scripts/document: ([a-z-]+) -->")


@pytest.mark.parametrize("name", ["api.md", "architecture.md", "configuration.md", "scaling.md"])
def test_each_generated_part_is_current(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == dict(documents())[name], "run scripts/document"


def test_what_is_current_stays_as_it_is() -> None:
    for name, text in documents():
        assert renewed(text) == text, name


def test_each_part_stands_in_exactly_one_place() -> None:
    texts = (file.read_text("utf-8") for file in FOLDER.glob("*.md"))
    assert sorted(MARK.findall("".join(texts))) == sorted(PARTS)


def test_the_configuration_tells_of_every_setting_and_never_shows_a_secret() -> None:
    text = (FOLDER / "configuration.md").read_text("utf-8")
    for each in describe():
        row = next(line for line in text.splitlines() if f"| `{each.env}` |" in line)
        assert row.startswith(f"| `{each.name}` |")
        assert each.help.replace("|", "\\|") in row
        assert ("**Secret.**" in row) == each.secret


def test_the_details_of_every_error_are_told() -> None:
    codes = {error.code for error in samples()}
    assert set(DETAILS) <= codes
    for error in samples():
        assert set(error.details) <= set(DETAILS.get(error.code, ())), error.code


@pytest.mark.parametrize(
    "figure", [each for each in FIGURES if each.row], ids=lambda each: each.row
)
def test_the_figures_of_scaling_are_those_of_the_benchmark(figure: Figure) -> None:
    rows = [line.split("|") for line in BENCHMARK.splitlines() if line.startswith("|")]
    values = [row[3].strip().replace(",", "") for row in rows if row[1].strip() == figure.row]
    assert [float(value) for value in values] == [figure.value]


def test_more_chats_need_no_less_of_anything() -> None:
    few, many, most = (Load(chats) for chats in CHATS)
    for name, each in vars(Load).items():
        if isinstance(each, property):
            assert getattr(few, name) <= getattr(many, name) <= getattr(most, name), name


def test_what_one_carries_is_what_it_may_be_used_for() -> None:
    assert Load(chats_of_a_worker()).workers == 1
    assert Load(chats_of_a_redis()).redis_least <= Assumed.redis_busy.value
    assert Load(chats_of_a_redis() + 100).redis_least > Assumed.redis_busy.value
