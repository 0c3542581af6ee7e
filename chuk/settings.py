"""Configuration: frozen, typed, validated once.

A value comes from the environment, else from a `.env` file in the working directory, else from
the configuration file (`config/chuk.toml`, or the file that `CHUK_CONFIG` names), else from the
default written here. Each field below is one setting; the marshmallow schema that checks the
file and the environment is made from these fields, so there is no second list to keep in step.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from dotenv import dotenv_values
from marshmallow import Schema, ValidationError, fields, validate

DEFAULT_FILE = Path("config/chuk.toml")


class SettingsError(Exception):
    """A setting with a value that cannot be used. Says which, why, and where it came from."""

    def __init__(self, setting: str, problem: str, source: str) -> None:
        self.setting, self.problem, self.source = setting, problem, source
        super().__init__(f"{setting}: {problem} (from {source})")


class CommaSeparated(fields.List[Any]):
    """A list in the file, or one comma-separated string in the environment."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, str):
            value = [item.strip() for item in value.split(",") if item.strip()]
        return super()._deserialize(value, attr, data, **kwargs)


def _is_url(value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValidationError("not an http or https address.")


def _is_url_or_empty(value: str) -> None:
    if value:
        _is_url(value)


def _is_origin(value: str) -> None:
    _is_url(value)
    if value.count("/") > 2:
        raise ValidationError("an origin is scheme://host[:port], without a path.")


def _is_network(value: str) -> None:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValidationError(f"{value!r} is not an address or a network.") from None


def _setting(
    default: object,
    text: str,
    *,
    env: str | None = None,
    check: Any = None,
    secret: bool = False,
) -> Any:
    """One setting: its default, one line of help, its variable (default: from its place)."""
    return dataclasses.field(
        default=default,
        repr=not secret,
        metadata={"help": text, "env": env, "check": check, "secret": secret},
    )


_positive = validate.Range(min=0, min_inclusive=False)
_at_least_one = validate.Range(min=1)


@dataclass(frozen=True)
class Server:
    """Where the server listens and what it says of itself."""

    host: str = _setting("127.0.0.1", "Address to listen on.", env="CHUK_HOST")
    port: int = _setting(
        8080,
        "Port to listen on; 0 picks a free one.",
        env="CHUK_PORT",
        check=validate.Range(min=0, max=65535),
    )
    data_dir: Path = _setting(
        Path("var"),
        "Folder for secrets, the model cache and the last known model list.",
        env="CHUK_DATA_DIR",
    )
    wire_profile: str = _setting(
        "envelope",
        "Shape of answers when a request does not choose: envelope or bare.",
        env="CHUK_WIRE_PROFILE",
        check=validate.OneOf(["envelope", "bare"]),
    )
    public_url: str = _setting(
        "",
        "Address clients use, for absolute links; empty: the address served.",
        env="CHUK_PUBLIC_URL",
        check=_is_url_or_empty,
    )
    shutdown_grace: float = _setting(
        30.0,
        "Seconds that open streams get after SIGTERM.",
        env="CHUK_SHUTDOWN_GRACE",
        check=validate.Range(min=0),
    )
    cors_origins: tuple[str, ...] = _setting(
        (), "Exact origins of browsers that may call.", env="CHUK_CORS_ORIGINS", check=_is_origin
    )
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "Addresses or networks whose X-Forwarded-For counts.",
        env="CHUK_TRUSTED_PROXIES",
        check=_is_network,
    )
    tls_cert: str = _setting("", "Certificate chain file (PEM).", env="CHUK_TLS_CERT")
    tls_key: str = _setting("", "Private key file (PEM).", env="CHUK_TLS_KEY")
    body_timeout: float = _setting(
        30.0, "Seconds a request's body may take to arrive.", check=_positive
    )


@dataclass(frozen=True)
class Log:
    """What the log looks like."""

    format: str = _setting(
        "",
        "console or json; empty: console on a terminal, else json.",
        env="CHUK_LOG_FORMAT",
        check=validate.OneOf(["", "console", "json"]),
    )
    level: str = _setting(
        "info",
        "debug, info, warning or error.",
        env="CHUK_LOG_LEVEL",
        check=validate.OneOf(["debug", "info", "warning", "error"]),
    )


@dataclass(frozen=True)
class Limits:
    """Requests a minute: per user, the last one per address."""

    chat: int = _setting(60, "Chat messages.", env="CHUK_LIMIT_CHAT", check=_at_least_one)
    audio: int = _setting(30, "Transcriptions.", env="CHUK_LIMIT_AUDIO", check=_at_least_one)
    image: int = _setting(10, "Images.", env="CHUK_LIMIT_IMAGE", check=_at_least_one)
    file: int = _setting(30, "File conversions.", env="CHUK_LIMIT_FILE", check=_at_least_one)
    speech: int = _setting(30, "Speech.", env="CHUK_LIMIT_SPEECH", check=_at_least_one)
    other: int = _setting(120, "Everything else.", env="CHUK_LIMIT_OTHER", check=_at_least_one)
    address: int = _setting(
        60,
        "Unauthenticated requests and failed authentication.",
        env="CHUK_LIMIT_ADDRESS",
        check=_at_least_one,
    )


@dataclass(frozen=True)
class Prices:
    """From upstream's dollars to the user's euros."""

    usd_to_eur: Decimal = _setting(
        Decimal("0.92"), "Euros for one dollar.", env="CHUK_USD_TO_EUR", check=_positive
    )
    margin: Decimal = _setting(
        Decimal("0"),
        "Added to upstream's cost; 0.1 is ten percent.",
        env="CHUK_MARGIN",
        check=validate.Range(min=0),
    )


@dataclass(frozen=True)
class Chat:
    """The life of a turn and of a WebSocket. Times are seconds."""

    ping_interval: float = _setting(15.0, "Between comment pings on SSE.", check=_positive)
    silence_interval: float = _setting(
        20.0, "Upstream's silence after which a meta event goes out.", check=_positive
    )
    stall_timeout: float = _setting(
        30.0, "A client that reads nothing for this long is cut.", check=_positive
    )
    socket_ping_interval: float = _setting(30.0, "Between WebSocket pings.", check=_positive)
    socket_idle_timeout: float = _setting(
        600.0, "A WebSocket with nothing going on is closed after this.", check=_positive
    )
    turns_per_socket: int = _setting(4, "Turns at once on one WebSocket.", check=_at_least_one)
    message_max_bytes: int = _setting(
        28_000_000, "Largest chat message, images included.", check=_at_least_one
    )
    image_max_count: int = _setting(10, "Images in one message.", check=_at_least_one)
    image_max_bytes: int = _setting(
        20_000_000, "Images of one message together.", check=_at_least_one
    )


@dataclass(frozen=True)
class Upstream:
    """Where answers come from. Times are seconds."""

    openrouter_api_key: str = _setting(
        "", "Set: models come from OpenRouter.", env="OPENROUTER_API_KEY", secret=True
    )
    openrouter_base_url: str = _setting(
        "https://openrouter.ai/api/v1", "Base URL of its API.", env="OPENROUTER_BASE_URL", check=_is_url
    )
    blocked_providers: tuple[str, ...] = _setting(
        ("chutes", "alibaba", "friendli", "wandb", "crusoe", "ncompass"),
        "Providers that are never listed and never used.",
        env="CHUK_BLOCKED_PROVIDERS",
    )
    models_file: Path = _setting(
        Path("config/models.toml"), "Which models are offered, and under which names."
    )
    catalog_refresh: float = _setting(600.0, "Between refreshes of the model list.", check=_positive)
    connect_timeout: float = _setting(10.0, "To connect.", check=_positive)
    first_byte_timeout: float = _setting(120.0, "To the first byte of an answer.", check=_positive)
    read_timeout: float = _setting(60.0, "Between two reads of an answer.", check=_positive)
    connections: int = _setting(10_000, "Connections to upstream at once.", check=_at_least_one)


@dataclass(frozen=True)
class LocalModel:
    """The model that answers without OpenRouter's key."""

    path: str = _setting(
        "", "Another GGUF file instead of the embedded model.", env="LOCAL_MODEL_PATH"
    )
    url: str = _setting(
        "",
        "Base URL of an OpenAI-compatible server of one's own (llama.cpp, vLLM, Ollama), "
        "ending before /chat/completions.",
        env="LOCAL_MODEL_URL",
        check=_is_url_or_empty,
    )
    api_key: str = _setting("", "Bearer key for that server.", env="LOCAL_MODEL_API_KEY", secret=True)
    name: str = _setting("", "The model's name at that server.", env="LOCAL_MODEL_NAME")
    context_length: int = _setting(
        8192, "Tokens of context for each conversation.", check=validate.Range(min=256)
    )
    threads: int = _setting(0, "Threads of the embedded model; 0: one per core.")


@dataclass(frozen=True)
class Supabase:
    """Whose tokens are accepted. Without a URL: the embedded issuer's."""

    url: str = _setting(
        "",
        "Project URL; set: its users' tokens are accepted.",
        env="SUPABASE_URL",
        check=_is_url_or_empty,
    )
    jwt_secret: str = _setting(
        "", "Legacy shared secret for HS256 tokens.", env="SUPABASE_JWT_SECRET", secret=True
    )


@dataclass(frozen=True)
class Settings:
    """Every setting, by section. Made by `load`; never changed afterwards."""

    server: Server = Server()
    log: Log = Log()
    limits: Limits = Limits()
    prices: Prices = Prices()
    chat: Chat = Chat()
    upstream: Upstream = Upstream()
    local_model: LocalModel = LocalModel()
    supabase: Supabase = Supabase()


@dataclass(frozen=True)
class Setting:
    """One setting's place and nature, for the schema, the documents and the tests."""

    section: str
    name: str
    env: str
    kind: type
    default: object
    help: str
    check: Any
    secret: bool


def describe() -> Iterator[Setting]:
    """Yield every setting there is, in the order of the file."""
    for section, section_type in get_type_hints(Settings).items():
        hints = get_type_hints(section_type)
        for field in dataclasses.fields(section_type):
            meta = field.metadata
            yield Setting(
                section=section,
                name=field.name,
                env=meta["env"] or f"CHUK_{section}_{field.name}".upper(),
                kind=hints[field.name],
                default=field.default,
                help=meta["help"],
                check=meta["check"],
                secret=meta["secret"],
            )


def load(
    environ: Mapping[str, str] | None = None, *, directory: Path | None = None
) -> Settings:
    """Read, check and freeze the settings.

    Args:
        environ: the environment; the process's own when absent.
        directory: where `.env` and `config/chuk.toml` are looked for; the working directory
            when absent.

    Raises:
        SettingsError: for the first value that cannot be used.
    """
    directory = directory or Path.cwd()
    environ = os.environ if environ is None else environ
    dotenv = {
        name: value
        for name, value in dotenv_values(directory / ".env").items()
        if value is not None
    }
    named = environ.get("CHUK_CONFIG") or dotenv.get("CHUK_CONFIG")
    file = directory / (named or DEFAULT_FILE)
    document = _read_file(file, required=named is not None)
    _refuse_unknown(document, file)

    sections: dict[str, dict[str, object]] = {}
    for setting in describe():
        value, source = _find(setting, environ, dotenv, document, file)
        if source is not None:
            value = _checked(setting, value, source)
        sections.setdefault(setting.section, {})[setting.name] = value
    hints = get_type_hints(Settings)
    settings = Settings(**{name: hints[name](**values) for name, values in sections.items()})
    _check_together(settings)
    return settings


def _read_file(file: Path, *, required: bool) -> Mapping[str, object]:
    if not file.exists() and not required:
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError("CHUK_CONFIG", error.strerror or "cannot be read", str(file)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError("file", f"is not valid TOML: {error}", str(file)) from None


def _refuse_unknown(document: Mapping[str, object], file: Path) -> None:
    known: dict[str, set[str]] = {}
    for setting in describe():
        known.setdefault(setting.section, set()).add(setting.name)
    for section, body in document.items():
        if section not in known or not isinstance(body, dict):
            raise SettingsError(f"[{section}]", "there is no such section", str(file))
        for name in body:
            if name not in known[section]:
                raise SettingsError(f"{section}.{name}", "there is no such setting", str(file))


def _find(
    setting: Setting,
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
    document: Mapping[str, Any],
    file: Path,
) -> tuple[object, str | None]:
    """The raw value and where it stands; no source means the default."""
    if setting.env in environ:
        return environ[setting.env], "the environment"
    if setting.env in dotenv:
        return dotenv[setting.env], ".env"
    if setting.name in document.get(setting.section, {}):
        return document[setting.section][setting.name], str(file)
    return setting.default, None


def _field_for(setting: Setting) -> fields.Field[Any]:
    """The marshmallow field that reads this setting from text or from TOML."""
    if setting.kind == tuple[str, ...]:
        item_checks = [setting.check] if setting.check else []
        return CommaSeparated(fields.Str(validate=item_checks))
    checks = [setting.check] if setting.check else []
    by_kind: dict[type, fields.Field[Any]] = {
        str: fields.Str(validate=checks),
        int: fields.Int(validate=checks),
        float: fields.Float(validate=checks, allow_nan=False),
        Decimal: fields.Decimal(validate=checks, allow_nan=False),
        Path: fields.Str(validate=validate.Length(min=1)),
    }
    return by_kind[setting.kind]


def _checked(setting: Setting, value: object, source: str) -> object:
    label = setting.env if source in ("the environment", ".env") else (
        f"{setting.section}.{setting.name}"
    )
    # An empty variable means "not set" to every deployment tool there is.
    if value == "" and source in ("the environment", ".env"):
        return () if setting.kind == tuple[str, ...] else setting.default
    schema = Schema.from_dict({setting.name: _field_for(setting)})()
    try:
        loaded = schema.load({setting.name: value})[setting.name]
    except ValidationError as error:
        problem = _first_message(error.messages)
        shown = "" if setting.secret else f", not {value!r}"
        raise SettingsError(label, problem.rstrip(".") + shown, source) from None
    if setting.kind == Path:
        return Path(loaded)
    return tuple(loaded) if setting.kind == tuple[str, ...] else loaded


def _first_message(messages: object) -> str:
    while isinstance(messages, (dict, list)):
        messages = next(iter(messages.values())) if isinstance(messages, dict) else messages[0]
    return str(messages)


def _check_together(settings: Settings) -> None:
    """What no field can know by itself."""
    server, local = settings.server, settings.local_model
    if bool(server.tls_cert) != bool(server.tls_key):
        raise SettingsError(
            "CHUK_TLS_CERT, CHUK_TLS_KEY", "both must be set, or neither", "the settings together"
        )
    for env, name in (("CHUK_TLS_CERT", server.tls_cert), ("CHUK_TLS_KEY", server.tls_key)):
        if name and not Path(name).is_file():
            raise SettingsError(env, f"there is no file {name!r}", "the settings together")
    if local.path and not Path(local.path).is_file():
        raise SettingsError("LOCAL_MODEL_PATH", f"there is no file {local.path!r}", "the settings")
    if local.url and not local.name:
        raise SettingsError("LOCAL_MODEL_NAME", "must name the model at LOCAL_MODEL_URL", "the settings")
    if local.url and local.path:
        raise SettingsError(
            "LOCAL_MODEL_URL, LOCAL_MODEL_PATH", "only one of them can be set", "the settings"
        )
