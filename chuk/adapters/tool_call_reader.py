"""The tool calls in the chunks of one completion stream, made sound for whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from chuk.chat.unicode_joiner import UnicodeJoiner

_MOST_CALLS = 128


class ToolCallReader:
    """Reads one chunk's `delta.tool_calls` after the other.

    https://platform.openai.com/docs/api-reference/chat-streaming
    """

    def __init__(self) -> None:
        self._joiners: dict[int, UnicodeJoiner] = {}

    def read(self, calls: object) -> bytes | None:
        """The array as JSON of valid Unicode; None: it makes no sense.

        Some servers leave the index out where all of a call comes at once, or give the arguments
        as an object.
        """
        if not isinstance(calls, list):
            return None
        try:
            return orjson.dumps([self._call(place, call) for place, call in enumerate(calls)])
        except (TypeError, ValueError, LookupError):
            return None

    def _call(self, place: int, call: Mapping[str, Any]) -> dict[str, Any]:
        index = call.get("index", place)
        if type(index) is not int or not 0 <= index < _MOST_CALLS:
            raise ValueError("index")
        said: dict[str, Any] = {"index": index}
        if isinstance(call.get("id"), str) and call["id"]:
            said |= {"id": call["id"], "type": "function"}
        function = call.get("function")
        if isinstance(function, Mapping):
            told: dict[str, Any] = {}
            if isinstance(function.get("name"), str) and function["name"]:
                told["name"] = function["name"]
            arguments = function.get("arguments")
            if isinstance(arguments, Mapping):
                arguments = orjson.dumps(arguments).decode()
            if isinstance(arguments, str):
                joiner = self._joiners.setdefault(index, UnicodeJoiner())
                told["arguments"] = joiner.push(arguments)
            said["function"] = told
        return said
