"""Tool calls that came in pieces, put together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson


def joined_calls(deltas: Iterable[bytes]) -> list[dict[str, Any]]:
    """The whole calls, in the order of their indexes, from the JSON arrays of a stream's deltas."""
    calls: dict[int, dict[str, Any]] = {}
    arguments: dict[int, list[str]] = {}
    for delta in deltas:
        for piece in orjson.loads(delta):
            index = piece["index"]
            call = calls.setdefault(
                index, {"id": f"call_{index}", "type": "function", "function": {"name": ""}}
            )
            function = piece.get("function", {})
            call["id"] = piece.get("id", call["id"])
            call["function"]["name"] = function.get("name", call["function"]["name"])
            arguments.setdefault(index, []).append(function.get("arguments", ""))
    for index, call in calls.items():
        call["function"]["arguments"] = "".join(arguments[index])
    return [calls[index] for index in sorted(calls)]
