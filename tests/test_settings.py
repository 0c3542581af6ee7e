"""Settings: where they come from, and what is said about one that cannot be used."""

from __future__ import annotations

import dataclasses
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.settings import Setting, Settings, SettingsError, describe, load

SHIPPED_FILE = Path(__file__).parent.parent / "config" / "chuk.toml"

SECRETS = [setting for setting in describe() if setting.secret]


def write_file(folder: Path, text: str) -> Path:
    """Put a configuration file where it is looked for."""
    file = folder / "config" / "chuk.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def refused(folder: Path, environ: dict[str, str] | None = None) -> SettingsError:
    """Load what must not be accepted; returns the error."""
    with pytest.raises(SettingsError) as caught:
        load(environ or {}, directory=folder)
    assert str(caught.value) == (
        f"{caught.value.setting}: {caught.value.problem} (from {caught.value.source})"
    )
    return caught.value


def test_the_environment_wins_over_dotenv_over_the_file_over_the_default(tmp_path: Path) -> None:
    def port(environ: dict[str, str]) -> int:
        return load(environ, directory=tmp_path).server.port

    assert port({}) == 8080
    write_file(tmp_path, "[server]\nport = 1")
    assert port({}) == 1
    (tmp_path / ".env").write_text("CHUK_PORT=2\n", "utf-8")
    assert port({}) == 2
    assert port({"CHUK_PORT": "3"}) == 3


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path) -> None:
    write_file(tmp_path, '[server]\nport = 1\n[upstream]\nblocked_providers = ["chutes"]')
    (tmp_path / ".env").write_text("CHUK_PORT=\n", "utf-8")
    environ = {"CHUK_PORT": "", "CHUK_BLOCKED_PROVIDERS": " ", "CHUK_CONFIG": ""}
    settings = load(environ, directory=tmp_path)
    assert settings.server.port == 1
    assert settings.upstream.blocked_providers == ("chutes",)


def test_white_space_around_a_variable_does_not_count(tmp_path: Path) -> None:
    settings = load({"OPENROUTER_API_KEY": "key\n"}, directory=tmp_path)
    assert settings.upstream.openrouter_api_key == "key"


def test_a_dotenv_value_is_taken_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SUPABASE_JWT_SECRET='a${HOME}b'\n", "utf-8")
    environ = {"SUPABASE_URL": "https://project.example"}
    assert load(environ, directory=tmp_path).supabase.jwt_secret == "a${HOME}b"


def test_another_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[server]\nport = 1", "utf-8")
    (tmp_path / ".env").write_text("CHUK_CONFIG=other.toml", "utf-8")
    assert load({}, directory=tmp_path).server.port == 1


def test_of_several_files_the_later_goes_before_the_earlier(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text("[server]\nport = 1\n[log]\nlevel = 'error'", "utf-8")
    (tmp_path / "own.toml").write_text("[server]\nport = 2", "utf-8")
    own = str(tmp_path / "own.toml")
    settings = load({"CHUK_CONFIG": f"first.toml:{own}"}, directory=tmp_path)
    assert (settings.server.port, settings.log.level) == (2, "error")


@pytest.mark.parametrize("broken", ["first.toml", "second.toml"])
def test_a_mistake_in_one_of_several_files_names_that_one(tmp_path: Path, broken: str) -> None:
    for name in ("first.toml", "second.toml"):
        (tmp_path / name).write_text("[server]\nport = 1", "utf-8")
    (tmp_path / broken).write_text("[server]\nprot = 1", "utf-8")
    error = refused(tmp_path, {"CHUK_CONFIG": "first.toml:second.toml"})
    assert (error.setting, error.source) == ("server.prot", str(tmp_path / broken))


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    error = refused(tmp_path, {"CHUK_CONFIG": "missing.toml"})
    assert (error.setting, error.source) == ("CHUK_CONFIG", "the environment")
    assert "missing.toml" in error.problem


@pytest.mark.parametrize(
    ("text", "setting", "problem"),
    [
        ("[severs]\nport = 1", "[severs]", "no such section; did you mean server?"),
        ("[server]\nprot = 1", "server.prot", "no such setting; did you mean port?"),
        ("[server.tls]\ncert = 1", "server.tls", "no such setting"),
        ("port = 1", "[port]", "no such section"),
        ("server = 1", "[server]", "is a section"),
        ("[server", "file", "not valid TOML"),
        ("[server]\nport = 1\nport = 2", "file", "not valid TOML"),
    ],
)
def test_a_file_with_a_mistake_is_an_error_that_names_it(
    tmp_path: Path, text: str, setting: str, problem: str
) -> None:
    file = write_file(tmp_path, text)
    error = refused(tmp_path)
    assert error.setting == setting
    assert problem in error.problem
    assert error.source == str(file)


@pytest.mark.parametrize("name", ["config/chuk.toml", ".env"])
def test_a_file_that_is_not_text_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / name).write_bytes(b"\xff\xfe=\xff")
    assert refused(tmp_path).source.endswith(name)


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("CHUK_PORT", "http", "valid integer"),
        ("CHUK_PORT", "8080.5", "valid integer"),
        ("CHUK_PORT", "-1", "greater than or equal to 0"),
        ("CHUK_PORT", "65536", "less than or equal to 65535"),
        ("CHUK_PORT", "9" * 5000, "valid integer"),
        ("CHUK_LIMIT_CHAT", "0", "greater than or equal to 1"),
        ("CHUK_SHUTDOWN_GRACE", "nan", "not permitted"),
        ("CHUK_SHUTDOWN_GRACE", "inf", "not permitted"),
        ("CHUK_SHUTDOWN_GRACE", "-1", "greater than or equal to 0"),
        ("CHUK_CHAT_PING_INTERVAL", "0", "greater than 0"),
        ("CHUK_USD_TO_EUR", "NaN", "not permitted"),
        ("CHUK_USD_TO_EUR", "0", "greater than 0"),
        ("CHUK_MARGIN", "ten percent", "valid number"),
        ("CHUK_WIRE_PROFILE", "Bare", "one of: envelope, bare"),
        ("CHUK_LOG_FORMAT", "xml", "one of"),
        ("CHUK_LOG_LEVEL", "loud", "one of"),
        ("CHUK_PUBLIC_URL", "api.chuk.chat", "not an http"),
        ("OPENROUTER_BASE_URL", "ftp://host/", "not an http"),
        ("OPENROUTER_BASE_URL", "http://[::1", "not an http"),
        ("OPENROUTER_BASE_URL", "http://host:99999", "not an http"),
        ("OPENROUTER_BASE_URL", "http://ho st", "not an http"),
        ("SUPABASE_URL", "https://", "not an http"),
        ("CHUK_CORS_ORIGINS", "https://a.example,https://b.example/path", "without a path"),
        ("CHUK_CORS_ORIGINS", "https://a.example/", "without a path"),
        ("CHUK_CORS_ORIGINS", "https://a.example?q", "without a path"),
        ("CHUK_CORS_ORIGINS", "https://A.example", "lower case"),
        ("CHUK_CORS_ORIGINS", "https://a.example:443", "usual port"),
        ("CHUK_CORS_ORIGINS", "*", "not an http"),
        ("CHUK_TRUSTED_PROXIES", "10.0.0.0/33", "not an address or a network"),
        ("CHUK_TRUSTED_PROXIES", "10.0.0.1/8", "no bits set"),
        ("CHUK_TRUSTED_PROXIES", "127.0.0.1,proxy", "not an address or a network"),
        ("LOCAL_MODEL_PATH", "missing.gguf", "there is no file 'missing.gguf'"),
        ("LOCAL_MODEL_URL", "http://127.0.0.1:1/v1", "needs LOCAL_MODEL_NAME"),
        ("SUPABASE_JWT_SECRET", "s" * 32, "needs SUPABASE_URL"),
        ("CHUK_TLS_CERT", "cert.pem", "needs CHUK_TLS_KEY"),
        ("CHUK_TLS_KEY", "key.pem", "needs CHUK_TLS_CERT"),
    ],
)
@pytest.mark.parametrize("place", ["the environment", ".env"])
def test_a_bad_variable_is_an_error_that_names_it_the_problem_and_the_place(
    tmp_path: Path, variable: str, value: str, problem: str, place: str
) -> None:
    if place == ".env":
        (tmp_path / ".env").write_text(f"{variable}='{value}'", "utf-8")
        error = refused(tmp_path)
    else:
        error = refused(tmp_path, {variable: value})
    assert (error.setting, error.source) == (variable, place)
    assert problem in error.problem
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("server", "port", "8080.5"),
        ("server", "port", "true"),
        ("server", "port", "[1]"),
        ("server", "host", '""'),
        ("server", "host", "1"),
        ("server", "data_dir", '""'),
        ("server", "shutdown_grace", "nan"),
        ("server", "shutdown_grace", "false"),
        ("server", "cors_origins", "[1]"),
        ("server", "cors_origins", "{}"),
        ("prices", "margin", "inf"),
        ("limits", "chat", "2020-01-01"),
    ],
)
def test_a_bad_value_in_the_file_is_an_error_that_names_its_place(
    tmp_path: Path, section: str, name: str, value: str
) -> None:
    file = write_file(tmp_path, f"[{section}]\n{name} = {value}")
    error = refused(tmp_path)
    assert (error.setting, error.source) == (f"{section}.{name}", str(file))


def test_a_certificate_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("", "utf-8")
    environ = {
        "CHUK_TLS_CERT": str(tmp_path / "cert.pem"),
        "CHUK_TLS_KEY": str(tmp_path / "key.pem"),
    }
    assert refused(tmp_path, environ).setting == "CHUK_TLS_KEY"
    (tmp_path / "key.pem").write_text("", "utf-8")
    assert load(environ, directory=tmp_path).server.tls_key == environ["CHUK_TLS_KEY"]


def test_only_one_local_model_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"")
    environ = {
        "LOCAL_MODEL_PATH": str(tmp_path / "model.gguf"),
        "LOCAL_MODEL_URL": "http://127.0.0.1:1/v1",
        "LOCAL_MODEL_NAME": "llama",
    }
    assert refused(tmp_path, environ).setting == "LOCAL_MODEL_URL"


def _in_its_form(secret: Setting) -> str:
    """A value that this setting takes."""
    forms = {
        "REDIS_URL": "redis://:hush@redis.example",
        "CHUK_STREAM_KEY": f"hush{'A' * 39}=",
        "SENTRY_DSN": "https://hush@sentry.example/1",
    }
    return forms.get(secret.env, "hush")


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: secret.env)
def test_a_secret_shows_neither_in_the_settings_nor_in_an_error(
    tmp_path: Path, secret: Setting
) -> None:
    # Some settings need others beside them.
    environ = {
        "SUPABASE_URL": "https://project.example",
        "STRIPE_WEBHOOK_SECRET": "quiet",
        "STRIPE_PRICE_ID": "price",
        secret.env: (hush := _in_its_form(secret)),
    }
    assert hush not in repr(load(environ, directory=tmp_path))
    write_file(tmp_path, f'[{secret.section}]\n{secret.name} = ["hush"]')
    error = refused(tmp_path)
    assert "hush" not in str(error)
    assert "hush" not in repr(error)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SUPABASE_SERVICE_ROLE_KEY": "k"}, "SUPABASE_SERVICE_ROLE_KEY"),
        ({"STRIPE_SECRET_KEY": "k", "STRIPE_PRICE_ID": "p"}, "STRIPE_SECRET_KEY"),
        ({"STRIPE_SECRET_KEY": "k", "STRIPE_WEBHOOK_SECRET": "s"}, "STRIPE_SECRET_KEY"),
    ],
)
def test_a_service_that_is_only_half_configured_is_refused(
    tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    assert refused(tmp_path, environ).setting == named


def test_a_password_in_an_address_does_not_show_in_an_error(tmp_path: Path) -> None:
    error = refused(tmp_path, {"LOCAL_MODEL_URL": "htp://me:hush@host/v1"})
    assert "hush" not in str(error)


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    settings = load({}, directory=tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.server.port = 1  # type: ignore[misc]


provider_names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-/", min_size=1)
spaces = st.text(" \t", max_size=3)


@given(names=st.lists(provider_names, min_size=1), space=spaces)
def test_a_list_reads_the_same_from_a_variable_and_from_the_file(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], space: str
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    write_file(folder, f"[upstream]\nblocked_providers = {names}")
    text = f"{space},{space}".join(names) + ",,"
    from_variable = load({"CHUK_BLOCKED_PROVIDERS": text}, directory=folder)
    from_file = load({}, directory=folder)
    assert from_variable.upstream.blocked_providers == tuple(names)
    assert from_file == from_variable


def test_a_variable_can_say_that_a_list_is_empty(tmp_path: Path) -> None:
    settings = load({"CHUK_BLOCKED_PROVIDERS": ","}, directory=tmp_path)
    assert settings.upstream.blocked_providers == ()


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert load({}, directory=tmp_path) == Settings()


def test_no_two_settings_share_a_variable() -> None:
    names = [setting.env for setting in describe()]
    assert len(names) == len(set(names))


def test_the_shipped_file_lists_every_setting_with_its_default(tmp_path: Path) -> None:
    document = tomllib.loads(SHIPPED_FILE.read_text("utf-8"), parse_float=Decimal)
    listed = {
        (section, name): value for section, body in document.items() for name, value in body.items()
    }
    assert listed == {(s.section, s.name): in_toml(s.default) for s in describe()}

    write_file(tmp_path, SHIPPED_FILE.read_text("utf-8"))
    assert load({}, directory=tmp_path) == Settings()


def in_toml(value: object) -> object:
    """A default as it stands in the file."""
    if isinstance(value, tuple):
        return list(value)
    return value.as_posix() if isinstance(value, Path) else value


@pytest.mark.parametrize("setting", list(describe()), ids=lambda setting: setting.env)
def test_the_shipped_file_explains_each_setting(setting: Setting) -> None:
    section = SHIPPED_FILE.read_text("utf-8").partition(f"\n[{setting.section}]")[2]
    above = section.partition(f"\n{setting.name} = ")[0].rpartition("\n\n")[2]
    comment = " ".join(line.removeprefix("# ") for line in above.splitlines())
    assert comment.startswith(setting.help)
    assert comment.endswith(f"({setting.env})")
