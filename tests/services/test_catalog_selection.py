"""`config/models.toml`: which models are offered, checked when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from chuk.catalog.selection import Override, Selection, SelectionError, read_selection

SHIPPED = Path(__file__).parents[2] / "config" / "models.toml"


def read(folder: Path, text: str) -> Selection:
    file = folder / "models.toml"
    file.write_text(text)
    return read_selection(file)


def test_without_a_file_every_model_is_allowed(tmp_path: Path) -> None:
    selection = read_selection(tmp_path / "models.toml", blocked_providers=["chutes"])
    assert selection.allows("any/model")
    assert not selection.allows_provider("chutes/fp8")


def test_the_file_that_is_shipped_allows_every_model() -> None:
    assert read_selection(SHIPPED) == Selection()


def test_the_commented_example_in_the_shipped_file_is_valid(tmp_path: Path) -> None:
    _, _, rest = SHIPPED.read_text().partition("# [models.")
    text = "[models." + rest.partition("\n\n")[0].replace("\n# ", "\n")
    assert read(tmp_path, text).overrides["qwen/qwen3-32b"].name == "Qwen3 32B"


def test_a_model_needs_an_allow_pattern_and_no_block_pattern(tmp_path: Path) -> None:
    selection = read(tmp_path, 'allow = ["qwen/*", "OpenAI/gpt-oss-20b"]\nblock = ["*:free"]')
    assert selection.allows("qwen/qwen3-32b")
    assert selection.allows("openai/gpt-oss-20b")
    assert not selection.allows("qwen/qwen3-32b:free")
    assert not selection.allows("openai/gpt-oss-20b-extra")


def test_overrides_are_read(tmp_path: Path) -> None:
    selection = read(tmp_path, '[models."a/b"]\nname = "B"\nicon_url = "https://example.org/b"')
    assert selection.overrides == {"a/b": Override(name="B", icon_url="https://example.org/b")}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("alow = []", "alow"),
        ("allow = []", "allow"),
        ('allow = "qwen/*"', "allow"),
        ("block = [1]", "block.0"),
        ('[models."a/b"]\nnmae = "B"', "models.a/b.nmae"),
        ('[models."a/b"]\nicon_url = "javascript:1"', "models.a/b.icon_url"),
        ('[models."a/b"]\nname = ""', "models.a/b.name"),
        ("allow = [", "TOML"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SelectionError, match=named) as caught:
        read(tmp_path, text)
    assert "models.toml" in str(caught.value)
