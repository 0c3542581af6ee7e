"""Which of upstream's models and providers this deployment offers, and under which names."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from chuk.catalog.models import Model
from chuk.catalog.own_servers import OwnServer, ServerName, ServerSchema, own_servers


class SelectionError(Exception):
    """The file cannot be used. The message says which file, where in it, and why."""


@dataclass(frozen=True, slots=True)
class Override:
    """What a model is shown with instead of upstream's words; None keeps upstream's."""

    name: str | None = None
    description: str | None = None
    icon_url: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The allow list and the block lists.

    Attributes:
        allow, block: shell patterns of model ids (`qwen/*`), in any case; a model is offered when
            one of `allow` matches and none of `block`.
        overrides: by model id.
        blocked_providers: providers (`chutes`) or single endpoints (`deepinfra/fp8`), never
            listed and never used.
        own: upstreams of the operator's own, whose models need no permission.
    """

    allow: tuple[str, ...] = ("*",)
    block: tuple[str, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    blocked_providers: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()

    def allows(self, model_id: str) -> bool:
        """Whether this model may be offered."""
        return _matches(model_id, self.allow) and not _matches(model_id, self.block)

    def allows_provider(self, slug: str) -> bool:
        """Whether this endpoint may be offered."""
        blocked = {name.strip().lower() for name in self.blocked_providers}
        slug = slug.lower()
        return slug not in blocked and slug.partition("/")[0] not in blocked

    def restrict(self, models: Iterable[Model]) -> list[Model]:
        """The models and providers that may be offered; a model without a provider is left out."""
        allowed: list[Model] = []
        for model in models:
            if model.upstream in self.own:
                allowed.append(model)
                continue
            if not self.allows(model.id):
                continue
            providers = tuple(each for each in model.providers if self.allows_provider(each.slug))
            if providers:
                allowed.append(dataclasses.replace(model, providers=providers))
        return allowed

    def dress(self, model: Model) -> Model:
        """The model with this deployment's own name, description and icon, where it has some."""
        override = self.overrides.get(model.id)
        if override is None:
            return model
        return dataclasses.replace(
            model,
            name=model.name if override.name is None else override.name,
            description=(
                model.description if override.description is None else override.description
            ),
            icon_url=model.icon_url if override.icon_url is None else override.icon_url,
        )


class OverrideSchema(Schema):
    """`[models."<id>"]` in the models file."""

    class Meta:
        unknown = RAISE

    name = fields.Str(validate=validate.Length(min=1, max=200))
    description = fields.Str(validate=validate.Length(max=10_000))
    icon_url = fields.Str(validate=validate.URL(schemes={"http", "https"}, require_tld=False))


_Pattern = fields.Str(validate=validate.Length(min=1, max=200))


class FileSchema(Schema):
    """The models file."""

    class Meta:
        unknown = RAISE

    allow = fields.List(
        _Pattern, validate=validate.Length(min=1, error='write ["*"] to allow every model.')
    )
    block = fields.List(_Pattern)
    models = fields.Dict(keys=_Pattern, values=fields.Nested(OverrideSchema))
    upstreams = fields.Dict(keys=ServerName, values=fields.Nested(ServerSchema))


@dataclass(frozen=True, slots=True)
class ModelsFile:
    """What `config/models.toml` says: what is offered of others' models, and servers of one's own.

    The selection's `own` is left to whoever knows which of the servers are used.
    """

    selection: Selection
    servers: tuple[OwnServer, ...] = ()


def read_selection(file: Path, *, blocked_providers: Iterable[str] = ()) -> Selection:
    """The selection of `read_models_file`."""
    return read_models_file(file, blocked_providers=blocked_providers).selection


def read_models_file(file: Path, *, blocked_providers: Iterable[str] = ()) -> ModelsFile:
    """Read `config/models.toml`. Without the file every model is allowed.

    Raises:
        SelectionError: it is not TOML, names something unknown, or holds a wrong value.
    """
    blocked = frozenset(blocked_providers)
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return ModelsFile(Selection(blocked_providers=blocked))
    except OSError as error:
        raise SelectionError(f"{file}: {error.strerror or 'cannot be read'}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SelectionError(f"{file}: not valid TOML: {error}") from None
    try:
        loaded: Mapping[str, Any] = FileSchema().load(document)
        servers = own_servers(loaded.get("upstreams", {}))
    except ValidationError as error:
        raise SelectionError(f"{file}: {_first_problem(error.messages)}") from None
    selection = Selection(
        allow=tuple(loaded.get("allow", ("*",))),
        block=tuple(loaded.get("block", ())),
        overrides={
            model_id: Override(**override)
            for model_id, override in loaded.get("models", {}).items()
        },
        blocked_providers=blocked,
    )
    return ModelsFile(selection, servers)


def _matches(model_id: str, patterns: Iterable[str]) -> bool:
    model_id = model_id.lower()
    return any(fnmatchcase(model_id, pattern.lower()) for pattern in patterns)


def _first_problem(messages: object) -> str:
    """The first message of marshmallow's tree, with the way to it."""
    way: list[str] = []
    while isinstance(messages, (dict, list)):
        if isinstance(messages, list):
            messages = messages[0]
        else:
            step, messages = next(iter(messages.items()))
            # Marshmallow's own words for the levels of a dict, which the file does not have.
            if step not in ("value", "key"):
                way.append(str(step))
    return f"{'.'.join(way)}: {messages}"
