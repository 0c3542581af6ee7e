"""From text or TOML to one typed, checked value: the marshmallow fields and the checks."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, validate

from chuk.settings.declaration import Setting

positive = validate.Range(min=0, min_inclusive=False)
at_least_one = validate.Range(min=1)
not_empty = validate.Length(min=1)

_STREAM_KEY_BYTES = 32


class WholeNumber(fields.Integer):
    """An integer, or text that is one. 8080.5 and true are mistakes, not 8080 and 1."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool | float):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Fraction(fields.Float):
    """A finite number, or text that is one."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class CommaSeparated(fields.List[Any]):
    """A list in the file, or one comma-separated string in the environment."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, str):
            value = [item.strip() for item in value.split(",") if item.strip()]
        return super()._deserialize(value, attr, data, **kwargs)


def field_for(setting: Setting) -> fields.Field[Any]:
    """The marshmallow field that reads this setting from text or from TOML."""
    checks = [setting.check] if setting.check else []
    if setting.kind == tuple[str, ...]:
        return CommaSeparated(fields.String(validate=checks))
    by_kind: dict[type, fields.Field[Any]] = {
        str: fields.String(validate=checks),
        bool: fields.Boolean(validate=checks),
        int: WholeNumber(validate=checks),
        float: Fraction(validate=checks, allow_nan=False),
        Decimal: fields.Decimal(validate=checks, allow_nan=False),
        Path: fields.String(validate=[validate.Length(min=1, error="must not be empty."), *checks]),
    }
    return by_kind[setting.kind]


def is_url(value: str) -> None:
    """Refuse what is not an http or https address with a host."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(letter.isspace() for letter in value):
        raise ValidationError("not an http or https address.")


def is_url_or_empty(value: str) -> None:
    """Like `is_url`, but the setting may be left empty."""
    if value:
        is_url(value)


def is_redis_url_or_empty(value: str) -> None:
    """Refuse what is not an address of a Redis server."""
    if value and urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValidationError("not a redis, rediss or unix address.")


def is_stream_key_or_empty(value: str) -> None:
    """Refuse what is not 32 bytes in base64."""
    if not value:
        return
    try:
        length = len(base64.b64decode(value, validate=True))
    except binascii.Error:
        length = 0
    if length != _STREAM_KEY_BYTES:
        raise ValidationError("not 32 bytes in base64.")


def is_origin(value: str) -> None:
    """Refuse what a browser could never send as its `Origin`."""
    is_url(value)
    parts = urlsplit(value)
    if value != f"{parts.scheme}://{parts.netloc}" or "@" in value:
        raise ValidationError("an origin is scheme://host[:port], without a path.")
    usual_port = {"http": ":80", "https": ":443"}[parts.scheme]
    if value != value.lower() or value.endswith(usual_port):
        raise ValidationError("browsers send origins in lower case, without the usual port.")


def is_network(value: str) -> None:
    """Refuse what is neither an IP address nor a network in CIDR form."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValidationError(
            "not an address or a network (10.0.0.0/8, with no bits set after its prefix)."
        ) from None
