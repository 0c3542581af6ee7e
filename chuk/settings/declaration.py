"""What one setting is, before anybody reads a value for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_type_hints

Check = Callable[[Any], object]
"""Raises marshmallow's ValidationError for a value that cannot be used."""


@dataclass(frozen=True)
class Setting:
    """One setting's place and nature, for the schema, the documents and the tests.

    Attributes:
        section: its table in the file.
        name: its key in that table.
        env: its environment variable.
        kind: the type of its value.
        default: used when nobody sets it.
        help: one line on what it means.
        check: what a value must pass; for a list, each of its items.
        secret: never shown, not even in an error.
    """

    section: str
    name: str
    env: str
    kind: type
    default: object
    help: str
    check: Check | None
    secret: bool


def setting(
    default: object,
    text: str,
    *,
    env: str | None = None,
    check: Check | None = None,
    secret: bool = False,
) -> Any:
    """Declare one setting as a dataclass field; without `env`, its variable is its place."""
    return dataclasses.field(
        default=default,
        repr=not secret,
        metadata={"help": text, "env": env, "check": check, "secret": secret},
    )


def settings_of(sections: type) -> Iterator[Setting]:
    """Yield every setting of a dataclass of sections, in order."""
    for section, section_type in get_type_hints(sections).items():
        if not dataclasses.is_dataclass(section_type):
            continue
        hints = get_type_hints(section_type)
        for field in dataclasses.fields(section_type):
            yield Setting(
                section=section,
                name=field.name,
                env=field.metadata["env"] or f"CHUK_{section}_{field.name}".upper(),
                kind=hints[field.name],
                default=field.default,
                help=field.metadata["help"],
                check=field.metadata["check"],
                secret=field.metadata["secret"],
            )
