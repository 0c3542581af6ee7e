"""The fields of a JSON schema as rows: what each is called, its type, its bounds, its meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.documents.tables import table

Schema = Mapping[str, Any]

_DEEPEST = 4
_REFERENCE = "#/components/schemas/"
_ABSENT = object()


class Fields:
    """Reads schemas, those that they refer to included.

    Args:
        schemas: the document's own, by name.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = schemas

    def asked(self, schema: Schema) -> str:
        """A table of what may be sent."""
        rows = [
            (f"`{name}`", kind(each), "yes" if needed else "", _default(each), _notes(each))
            for name, each, needed in self._rows(schema)
        ]
        return table(("Field", "Type", "Needed", "Default", "Meaning and bounds"), rows)

    def answered(self, schema: Schema) -> str:
        """A table of what comes back; an array's items as `[]`."""
        rows = [
            (f"`{name}`", kind(each), "" if needed else "not always", _notes(each))
            for name, each, needed in self._rows(schema)
        ]
        return table(("Field", "Type", "There", "Meaning"), rows)

    def _rows(
        self, schema: Schema, before: str = "", depth: int = 0
    ) -> Iterator[tuple[str, Schema, bool]]:
        schema = self.resolved(schema)
        if schema.get("type") == "array" and not before:
            yield from self._rows(schema["items"], "[].", depth)
            return
        needed = schema.get("required", ())
        for name, described in schema.get("properties", {}).items():
            each = self.resolved(described)
            yield f"{before}{name}", each, name in needed
            inner, mark = each, "."
            if "items" in each:
                inner, mark = self.resolved(each["items"]), "[]."
            if depth < _DEEPEST and "properties" in inner:
                yield from self._rows(inner, f"{before}{name}{mark}", depth + 1)

    def resolved(self, schema: Schema) -> Schema:
        """The schema meant by a reference, also by one that may be null."""
        choices = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
        if len(choices) == 1:
            rest = {name: value for name, value in schema.items() if name != "anyOf"}
            return {**self.resolved(choices[0]), **rest, "nullable": True}
        if "$ref" in schema:
            return self._schemas[schema["$ref"].removeprefix(_REFERENCE)]
        return schema


def kind(schema: Schema) -> str:
    """Its type in words."""
    types = schema.get("type", ())
    names = [types] if isinstance(types, str) else list(types)
    words = [name for name in names if name != "null"]
    if "items" in schema and (inner := schema["items"].get("type")):
        words = [f"array of {inner}" if isinstance(inner, str) else "array"]
    if schema.get("format") == "binary":
        words = ["file"]
    if schema.get("format") == "date-time":
        words = ["moment, ISO 8601"]
    if not words and "enum" in schema:
        words = ["string"]
    or_null = ["null"] if "null" in names or schema.get("nullable") else []
    return " or ".join(words + or_null) or "any"


def _default(schema: Schema) -> str:
    value = schema.get("default", _ABSENT)
    if value is _ABSENT or value is None or value in ("", []):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _notes(schema: Schema) -> str:
    notes = [schema["description"]] if "description" in schema else []
    if "enum" in schema:
        notes.append(", ".join(f"`{each}`" for each in schema["enum"] if each not in (None, "")))
    notes += _bounds(schema)
    return ". ".join(note.rstrip(".") for note in notes if note)


def _bounds(schema: Schema) -> Iterator[str]:
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
    ):
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None:
            yield f"{_number(least)} to {_number(most)}{unit}"
        elif most is not None:
            yield f"at most {_number(most)}{unit}"
        elif least is not None:
            yield f"at least {_number(least)}{unit}"


def _number(value: float) -> str:
    whole = int(value)
    return str(whole if whole == value else value)
