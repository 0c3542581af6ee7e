"""Secrets come from files that the service manager hands over."""

from __future__ import annotations

from pathlib import Path

import pytest

from chuk.settings import SettingsError, load


def handed_over(folder: Path, **contents: str) -> dict[str, str]:
    """The environment of a service with these credentials."""
    place = folder / "credentials"
    place.mkdir()
    for name, content in contents.items():
        (place / name).write_text(content)
    return {"CREDENTIALS_DIRECTORY": str(place)}


@pytest.mark.parametrize("name", ["OPENROUTER_API_KEY", "chuk_OPENROUTER_API_KEY"])
def test_a_credential_is_the_setting_that_it_is_named_like(tmp_path: Path, name: str) -> None:
    settings = load(handed_over(tmp_path, **{name: "a key\n"}), directory=tmp_path)
    assert settings.upstream.openrouter_api_key == "a key"


def test_a_credential_counts_more_than_dotenv_and_less_than_the_environment(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("FAL_KEY=dotenv\nGROQ_API_KEY=dotenv\n")
    environ = handed_over(tmp_path, FAL_KEY="credential", GROQ_API_KEY="credential")
    settings = load({**environ, "GROQ_API_KEY": "environment"}, directory=tmp_path)
    assert (settings.fal.key, settings.groq.api_key) == ("credential", "environment")


def test_the_models_file_can_name_a_credential(tmp_path: Path) -> None:
    settings = load(handed_over(tmp_path, OWN_SERVER_KEY="its key"), directory=tmp_path)
    assert settings.named("OWN_SERVER_KEY") == "its key"


def test_a_credential_shows_in_no_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(handed_over(tmp_path, CHUK_STREAM_KEY="not base64"), directory=tmp_path)
    assert caught.value.source == "the credentials"
    assert "base64" not in str(caught.value).replace("in base64", "")


def test_credentials_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "not there")}
    with pytest.raises(SettingsError, match=r"^CREDENTIALS_DIRECTORY: cannot be read"):
        load(environ, directory=tmp_path)
