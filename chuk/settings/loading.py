"""Finds each setting's value, checks it, and freezes them all."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from dotenv import dotenv_values
from marshmallow import Schema, ValidationError

from chuk.settings.credentials import credentials
from chuk.settings.declaration import Setting, settings_of
from chuk.settings.errors import SettingsError
from chuk.settings.sections import Settings
from chuk.settings.values import field_for

DEFAULT_FILE = Path("config/chuk.toml")

_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class _Found:
    """A raw value and where it stands. `label` is the setting's name in that place."""

    value: object
    label: str
    source: str


def describe() -> Iterator[Setting]:
    """Yield every setting there is, in the order of the file."""
    return settings_of(Settings)


def load(environ: Mapping[str, str] | None = None, *, directory: Path | None = None) -> Settings:
    """Read, check and freeze the settings.

    Args:
        environ: the environment; the process's own when absent. `CREDENTIALS_DIRECTORY` in it names
            a folder of secrets, one file each.
        directory: where `.env` and `config/chuk.toml` are looked for; the working directory
            when absent.

    Raises:
        SettingsError: for the first value that cannot be used.
    """
    directory = directory or Path.cwd()
    environ = os.environ if environ is None else environ
    variables = [
        ("the environment", environ),
        ("the credentials", credentials(environ)),
        (".env", _read_dotenv(directory / ".env")),
    ]
    documents = _read_files(directory, _variable("CHUK_CONFIG", variables))

    sections: dict[str, dict[str, object]] = {}
    sources: dict[str, str] = {}
    for setting in describe():
        found = _find(setting, variables, documents)
        value = setting.default if found is None else _checked(setting, found)
        sections.setdefault(setting.section, {})[setting.name] = value
        sources[setting.env] = "the defaults" if found is None else found.source
    hints = get_type_hints(Settings)
    settings = Settings(
        **{name: hints[name](**values) for name, values in sections.items()},
        variables={name: value for _, each in reversed(variables) for name, value in each.items()},
    )
    _check_together(settings, sources)
    return settings


def _read_dotenv(file: Path) -> Mapping[str, str]:
    try:
        # Values are taken as they are: a key may well have `${` in it.
        values = dotenv_values(file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("file", f"cannot be read: {type(error).__name__}", ".env") from None
    return {name: value for name, value in values.items() if value is not None}


def _read_files(directory: Path, named: _Found | None) -> list[tuple[Path, Mapping[str, Any]]]:
    """What the files say, the one that goes before the others first."""
    names = str(named.value).split(os.pathsep) if named else [str(DEFAULT_FILE)]
    documents = []
    for name in reversed(names):
        file = directory / name
        document = _read_file(file, named)
        _refuse_unknown(document, file)
        documents.append((file, document))
    return documents


def _read_file(file: Path, named: _Found | None) -> Mapping[str, Any]:
    if named is None and not file.exists():
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        label, source = (named.label, named.source) if named else ("file", str(file))
        raise SettingsError(label, f"{file} cannot be read: {reason}", source) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("file", f"is not valid TOML: {error}", str(file)) from None


def _refuse_unknown(document: Mapping[str, Any], file: Path) -> None:
    known: dict[str, list[str]] = {}
    for setting in describe():
        known.setdefault(setting.section, []).append(setting.name)
    for section, body in document.items():
        if section not in known:
            problem = f"there is no such section{_suggestion(section, known)}"
            raise SettingsError(f"[{section}]", problem, str(file))
        if not isinstance(body, dict):
            raise SettingsError(f"[{section}]", "is a section, not a value", str(file))
        for name in body:
            if name not in known[section]:
                problem = f"there is no such setting{_suggestion(name, known[section])}"
                raise SettingsError(f"{section}.{name}", problem, str(file))


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _variable(name: str, variables: Iterable[tuple[str, Mapping[str, str]]]) -> _Found | None:
    """The first place that sets this variable; empty means "not set" to every deployment tool."""
    for source, values in variables:
        value = values.get(name, "").strip()
        if value:
            return _Found(value, name, source)
    return None


def _find(
    setting: Setting,
    variables: Iterable[tuple[str, Mapping[str, str]]],
    documents: Iterable[tuple[Path, Mapping[str, Mapping[str, Any]]]],
) -> _Found | None:
    if (found := _variable(setting.env, variables)) is not None:
        return found
    for file, document in documents:
        section = document.get(setting.section, {})
        if setting.name in section:
            return _Found(section[setting.name], f"{setting.section}.{setting.name}", str(file))
    return None


def _checked(setting: Setting, found: _Found) -> object:
    schema = Schema.from_dict({setting.name: field_for(setting)})()
    try:
        loaded = schema.load({setting.name: found.value})[setting.name]
    except ValidationError as error:
        problem = _first_message(error.messages).rstrip(".")
        raise SettingsError(found.label, problem + _shown(setting, found), found.source) from None
    if setting.kind == tuple[str, ...]:
        return tuple(loaded)
    return Path(loaded) if setting.kind == Path else loaded


def _shown(setting: Setting, found: _Found) -> str:
    """The wrong value, unless it is a secret or an address with a password in it."""
    text = repr(found.value)
    if setting.secret or "@" in text:
        return ""
    return f", not {text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '...'}"


def _first_message(messages: object) -> str:
    while isinstance(messages, dict | list):
        messages = next(iter(messages.values())) if isinstance(messages, dict) else messages[0]
    return str(messages)


def _check_together(settings: Settings, sources: Mapping[str, str]) -> None:
    """What no field can know by itself."""
    server, local = settings.server, settings.local_model

    def refuse(env: str, problem: str) -> SettingsError:
        return SettingsError(env, problem, sources[env])

    if server.tls_cert and not server.tls_key:
        raise refuse("CHUK_TLS_CERT", "needs CHUK_TLS_KEY, which is not set")
    if server.tls_key and not server.tls_cert:
        raise refuse("CHUK_TLS_KEY", "needs CHUK_TLS_CERT, which is not set")
    for env, name in (
        ("CHUK_TLS_CERT", server.tls_cert),
        ("CHUK_TLS_KEY", server.tls_key),
        ("LOCAL_MODEL_PATH", local.path),
    ):
        if name and not Path(name).is_file():
            raise refuse(env, f"there is no file {name!r}")
    if local.url and local.path:
        raise refuse("LOCAL_MODEL_URL", "cannot be set together with LOCAL_MODEL_PATH")
    if local.url and not local.name:
        raise refuse("LOCAL_MODEL_URL", "needs LOCAL_MODEL_NAME, the model's name there")
    supabase, stripe = settings.supabase, settings.stripe
    if supabase.jwt_secret and not supabase.url:
        # The issuer that a token must name is made of the project's address.
        raise refuse("SUPABASE_JWT_SECRET", "needs SUPABASE_URL, which is not set")
    if supabase.service_role_key and not supabase.url:
        raise refuse("SUPABASE_SERVICE_ROLE_KEY", "needs SUPABASE_URL, which is not set")
    if stripe.secret_key and not stripe.webhook_secret:
        # Without it nobody could tell Stripe's events from anybody else's.
        raise refuse("STRIPE_SECRET_KEY", "needs STRIPE_WEBHOOK_SECRET, which is not set")
    if stripe.secret_key and not stripe.price_id:
        raise refuse("STRIPE_SECRET_KEY", "needs STRIPE_PRICE_ID, which is not set")
