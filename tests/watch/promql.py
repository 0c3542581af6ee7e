"""What a PromQL query asks for: the names of metrics, and the labels it knows them by."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_NUMBER = re.compile(r"(?<![\w:])[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?[smhdwy]?\b")
_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER = re.compile(r"\s*(\w+)\s*(?:=~|!~|!=|=)")
_FUNCTION = re.compile(r"\b[A-Za-z_]\w*(?=\s*\()")
_NAME = re.compile(r"[A-Za-z_:][\w:]*")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass
class Asked:
    """What one query asks for.

    Attributes:
        names: of metrics.
        labels: by metric, those that its selectors match.
        groups: those that results are kept apart by.
    """

    names: set[str] = field(default_factory=set)
    labels: dict[str, set[str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


def asked_by(query: str) -> Asked:
    """Take a query apart."""
    asked = Asked()
    text = _RANGE.sub(" ", _VARIABLE.sub("", _STRING.sub('""', query)))

    def selector(found: re.Match[str]) -> str:
        name, matchers = found.groups()
        known = asked.labels.setdefault(name, set())
        known |= {matched[1] for matched in map(_MATCHER.match, matchers.split(",")) if matched}
        return f" {name} "

    def listed(found: re.Match[str]) -> str:
        if found[1] == "by":
            asked.groups |= {label.strip() for label in found[2].split(",") if label.strip()}
        return " "

    text = _LIST.sub(listed, _SELECTOR.sub(selector, text))
    text = _NUMBER.sub(" ", _FUNCTION.sub(" ", text))
    asked.names = {name for name in _NAME.findall(text) if name.lower() not in _WORDS}
    return asked
