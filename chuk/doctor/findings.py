"""What a look at one thing has found, in words for whoever runs the server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. It never holds a secret.

    Attributes:
        name: what was looked at; several findings may share one.
        says: a sentence about what is.
        advice: what to do, where it is not well.
    """

    name: str
    verdict: Verdict
    says: str
    advice: str = ""


def ok(name: str, says: str) -> Finding:
    """It is well."""
    return Finding(name, Verdict.OK, says)


def warn(name: str, says: str, advice: str) -> Finding:
    """It works, but will not for ever, or not for everybody."""
    return Finding(name, Verdict.WARN, says, advice)


def fail(name: str, says: str, advice: str) -> Finding:
    """It does not work, or does harm."""
    return Finding(name, Verdict.FAIL, says, advice)


def worst(findings: Iterable[Finding]) -> Verdict:
    """The verdict on all of them together."""
    verdicts = {each.verdict for each in findings}
    return next(
        each for each in (Verdict.FAIL, Verdict.WARN, Verdict.OK) if each in verdicts | {Verdict.OK}
    )
