"""The OpenAPI document, as something to check answers against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator

Answer = tuple[int, str, bytes]


@dataclass(frozen=True)
class Call:
    """A request and the status it must meet."""

    method: str
    path: str
    status: int
    query: str = ""
    json: Any = None
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    signed_in: bool = True

    def __str__(self) -> str:
        return f"{self.method} {self.path}{self.query} {self.status}"


class Document:
    """Looks up what it says of a route's answers.

    Args:
        document: the parsed OpenAPI document.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.all = document
        self.operations: dict[tuple[str, str], dict[str, Any]] = {
            (method.upper(), path): operation
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        }

    def schema(self, method: str, path: str, status: int, content_type: str) -> dict[str, Any]:
        """The schema of an answer; KeyError when there is no such answer in the document."""
        responses = self.operations[method, path]["responses"]
        schema: dict[str, Any] = responses[str(status)]["content"][content_type]["schema"]
        return schema

    def check(self, method: str, path: str, status: int, content_type: str, body: object) -> None:
        """Raise unless an answer is as the document says."""
        schema = self.schema(method, path, status, content_type)
        # References point at the root, so the components come along.
        root = {**schema, "components": self.all["components"]}
        Draft202012Validator(root, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(
            body
        )
