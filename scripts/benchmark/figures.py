"""Figures, their ratios, and what is expected of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark.contenders import CHUK

BESIDE = "beside"
_TITLES = {
    "bare": "the bare relay",
    "fastapi": "FastAPI",
    "library": "the library",
    BESIDE: "that",
}


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound on chuk's value, or on its ratio to another's when `against` names one.

    Attributes:
        spare: how much more than the other's is fine whatever the ratio.
    """

    bound: float
    at_least: bool
    against: str | None = None
    spare: float | None = None

    def __str__(self) -> str:
        word = "at least" if self.at_least else "at most"
        unit = f" × {_TITLES[self.against]}" if self.against else ""
        spare = "" if self.spare is None else f" or + {self.spare:g}"
        return f"{word} {self.bound:g}{unit}{spare}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, by relay.

    Attributes:
        key: its name in the results file.
        label: its name for people, with the load it was measured under.
        values: by relay; a relay that was not measured is missing.
        aim: what is expected of chuk.
        beside: what the value of `BESIDE` is, for a figure that is not about relays.
    """

    key: str
    label: str
    unit: str
    values: dict[str, float]
    aim: Aim | None = None
    beside: str = ""

    def ratio(self, against: str) -> float | None:
        """Chuk's value over another relay's, where both are known."""
        ours, theirs = self.values.get(CHUK), self.values.get(against)
        return ours / theirs if ours is not None and theirs else None

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without an aim, or without what it needs."""
        if self.aim is None:
            return None
        value = self.ratio(self.aim.against) if self.aim.against else self.values.get(CHUK)
        if value is None or math.isnan(value):
            return None
        if self.aim.spare is not None and self.aim.against is not None:
            more = self.values[CHUK] - self.values[self.aim.against]
            return value <= self.aim.bound or more <= self.aim.spare
        return value >= self.aim.bound if self.aim.at_least else value <= self.aim.bound

    def as_json(self) -> dict[str, object]:
        """For the results file."""
        return {
            "key": self.key,
            "label": self.label,
            "unit": self.unit,
            "values": self.values,
            "ratio_to_bare": self.ratio("bare"),
            "ratio_to_fastapi": self.ratio("fastapi"),
            "ratio_to_library": self.ratio("library"),
            "beside": self.beside or None,
            "ratio_to_beside": self.ratio(BESIDE),
            "aim": str(self.aim) if self.aim else None,
            "met": self.met,
        }
