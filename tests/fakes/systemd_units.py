"""Unit files as systemd reads them, as far as Chuk Chat's need it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0}


@dataclass
class Unit:
    """One unit with its drop-ins: the values of each key, in order.

    Attributes:
        name: `chuk@1.service`.
        values: by section and key; an empty value forgets the earlier ones.
    """

    name: str
    values: dict[tuple[str, str], list[str]]

    def all(self, section: str, key: str) -> list[str]:
        """Every value of a key."""
        return self.values.get((section, key), [])

    def one(self, section: str, key: str, default: str = "") -> str:
        """The last value of a key."""
        return self.all(section, key)[-1] if self.all(section, key) else default

    def seconds(self, key: str, default: float) -> float:
        """A time of the service."""
        found = re.fullmatch(r"(\d+)(\w*)", self.one("Service", key))
        return default if found is None else float(found[1]) * _SECONDS[found[2]]


def read_unit(folder: Path, name: str) -> Unit:
    """Read a unit, or the template it is made of, and what is dropped in.

    Raises:
        FileNotFoundError: there is no such unit.
    """
    prefix, _, rest = name.partition("@")
    instance, _, kind = rest.rpartition(".")
    template = f"{prefix}@.{kind}" if rest else name
    unit = Unit(name, {})
    drop_ins = sorted(folder.glob(f"{template}.d/*.conf"))
    for file in (folder / template, *drop_ins):
        _read(file.read_text("utf-8").replace("%i", instance), unit)
    return unit


def _read(text: str, unit: Unit) -> None:
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values = unit.values.setdefault((section, key), [])
            if value:
                values.append(value)
            else:
                values.clear()
