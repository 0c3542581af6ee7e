"""What the stand-in for OpenRouter answers where nothing is scripted and something is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tests.fakes.openrouter_replies import Reply

_EXAMPLES: Mapping[str, Any] = {"string": "Bonn", "integer": 7, "number": 7.5, "boolean": True}


def usual_reply(body: Any) -> Reply:
    """Call the first tool that is offered, once; keep to a format; else make up some text."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        return Reply()
    tools, choice = body.get("tools"), body.get("tool_choice")
    has_called = any(message.get("role") == "tool" for message in body["messages"])
    if tools and choice != "none" and not has_called:
        function = tools[0]["function"]
        arguments = orjson.dumps(example_of(function.get("parameters") or {})).decode()
        half = len(arguments) // 2
        return Reply(
            tool_calls=[
                [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": function["name"], "arguments": arguments[:half]},
                    }
                ],
                [{"index": 0, "function": {"arguments": arguments[half:]}}],
            ]
        )
    form = body.get("response_format") or {}
    if form.get("type") == "json_object":
        return Reply(content=['{"answer": ', '"Bonn"}'])
    if form.get("type") == "json_schema":
        schema = form["json_schema"].get("schema") or {}
        return Reply(content=[orjson.dumps(example_of(schema)).decode()])
    return Reply()


def example_of(schema: Mapping[str, Any]) -> Any:
    """A value that fits a simple JSON schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "array":
        return [example_of(schema.get("items") or {})]
    if schema.get("type") == "object" or "properties" in schema:
        return {name: example_of(each) for name, each in (schema.get("properties") or {}).items()}
    return _EXAMPLES.get(str(schema.get("type")), "Bonn")
