"""What goes into and comes out of `/v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.api.fields import Number, Tags, WholeNumber
from chuk.api.openai.messages import MOST_MESSAGES
from chuk.api.openai.tools import ProviderChoice, ResponseFormat, Stop, ToolChoice, Tools

DEFAULT_MAX_TOKENS = 16_384
"""Of an answer whose client sets no limit; within the provider's."""

_LARGEST_SEED = 2**63 - 1
_OBJECT = {"type": "object"}
_MESSAGES = {
    "type": "array",
    "minItems": 1,
    "maxItems": MOST_MESSAGES,
    "items": {
        "type": "object",
        "required": ["role"],
        "properties": {
            "role": {
                "type": "string",
                "enum": ["system", "developer", "user", "assistant", "tool"],
            },
            "content": {
                "description": "A text, or a list of parts: text, and of a user image_url with "
                "a data: URL.",
            },
            "tool_calls": {"type": "array", "items": _OBJECT},
            "tool_call_id": {"type": "string"},
        },
    },
}


class Messages(fields.Field[list[Any]]):
    """The conversation so far; each message is read by `chuk.api.openai.messages`."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_MESSAGES:
            raise ValidationError(f"Must be a list of 1 to {MOST_MESSAGES} messages.")
        return value


class NotServed(fields.Field[None]):
    """What is refused, because an answer without it would not be what was asked for."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> None:
        if value not in (False, [], {}, 0):
            raise ValidationError("This is not served here.")


def _only(value: object, why: str) -> Callable[[Any], None]:
    def check(given: Any) -> None:
        if given is not None and given != value:
            raise ValidationError(why)

    return check


def _not_served() -> NotServed:
    return NotServed(allow_none=True, metadata={"description": "Not served: refused."})


class StreamOptions(Schema):
    """`include_usage` or not: the last chunk always says what the answer took."""

    class Meta:
        unknown = EXCLUDE

    include_usage = fields.Bool(allow_none=True, truthy={True}, falsy={False})


class ChatCompletionRequest(Schema):
    """A chat completion, as OpenAI's clients ask for it. Unknown fields are ignored.

    So are `user`, `store` (nothing is ever kept), `service_tier` and `prompt_cache_key`.
    """

    class Meta:
        unknown = EXCLUDE

    model = fields.Str(required=True, validate=validate.Length(min=1, max=200))
    messages = Messages(required=True, metadata=_MESSAGES)
    stream = fields.Bool(load_default=False, allow_none=True, truthy={True}, falsy={False})
    stream_options = fields.Nested(StreamOptions, allow_none=True, load_default=None)
    max_completion_tokens = WholeNumber(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=1),
        metadata={"description": f"{DEFAULT_MAX_TOKENS} unless said otherwise."},
    )
    max_tokens = WholeNumber(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=1),
        metadata={"description": "The older name; `max_completion_tokens` goes before it."},
    )
    temperature = Number(load_default=None, allow_none=True, validate=validate.Range(min=0, max=2))
    top_p = Number(load_default=None, allow_none=True, validate=validate.Range(min=0, max=1))
    frequency_penalty = Number(
        load_default=None, allow_none=True, validate=validate.Range(min=-2, max=2)
    )
    presence_penalty = Number(
        load_default=None, allow_none=True, validate=validate.Range(min=-2, max=2)
    )
    seed = WholeNumber(
        load_default=None,
        allow_none=True,
        validate=validate.Range(min=-_LARGEST_SEED - 1, max=_LARGEST_SEED),
    )
    stop = Stop(
        load_default=(),
        allow_none=True,
        metadata={"description": "A text or a list of at most 4."},
    )
    tools = Tools(load_default=None, allow_none=True, metadata={"type": "array", "items": _OBJECT})
    tool_choice = ToolChoice(
        load_default=None,
        allow_none=True,
        metadata={"description": "none, auto, required, or an object that names a function."},
    )
    parallel_tool_calls = fields.Bool(
        load_default=None, allow_none=True, truthy={True}, falsy={False}
    )
    response_format = ResponseFormat(load_default=None, allow_none=True, metadata=_OBJECT)
    reasoning_effort = fields.Str(
        allow_none=True,
        load_default=None,
        validate=validate.OneOf(["none", "minimal", "low", "medium", "high"]),
    )
    metadata = Tags(load_default=dict, allow_none=True)
    provider = ProviderChoice(
        load_default=((), False),
        allow_none=True,
        metadata={
            "description": "Not of OpenAI: the slug of the provider that shall answer, or "
            '`{"order": [slugs], "allow_fallbacks": bool}`. The cheapest one unless said '
            "otherwise, and no other in its place."
        },
    )
    n = WholeNumber(
        load_default=1,
        allow_none=True,
        validate=_only(1, "Only one answer at a time is given here."),
    )
    logprobs = _not_served()
    top_logprobs = _not_served()
    logit_bias = _not_served()
    audio = _not_served()
    functions = NotServed(allow_none=True, metadata={"description": "Refused: use `tools`."})
    function_call = NotServed(
        allow_none=True, metadata={"description": "Refused: use `tool_choice`."}
    )
    web_search_options = _not_served()
    modalities = fields.List(
        fields.Str(),
        allow_none=True,
        load_default=None,
        validate=_only(["text"], "Only text is answered here."),
    )


class ChatMessage(Schema):
    """The model's answer; `reasoning_content` where it tells how it came to it."""

    role = fields.Str(required=True)
    content = fields.Str(required=True, allow_none=True)
    refusal = fields.Str(required=True, allow_none=True)
    reasoning_content = fields.Str()
    tool_calls = fields.List(fields.Dict(keys=fields.Str()))


class ChatChoice(Schema):
    """The one answer."""

    index = fields.Int(required=True)
    message = fields.Nested(ChatMessage, required=True)
    logprobs = fields.Raw(required=True, allow_none=True)
    finish_reason = fields.Str(
        required=True,
        validate=validate.OneOf(["stop", "length", "tool_calls", "content_filter"]),
    )


class CompletionUsage(Schema):
    """Tokens."""

    prompt_tokens = fields.Int(required=True)
    completion_tokens = fields.Int(required=True)
    total_tokens = fields.Int(required=True)


class ChatCompletion(Schema):
    """An answer. Streamed, it comes as `chat.completion.chunk` objects, the usage in the last.

    `chuk`, not of OpenAI: what it cost, and who answered.
    """

    id = fields.Str(required=True)
    object = fields.Str(required=True)
    created = fields.Int(required=True)
    model = fields.Str(required=True)
    choices = fields.List(fields.Nested(ChatChoice), required=True)
    usage = fields.Nested(CompletionUsage)
    chuk = fields.Dict(keys=fields.Str())
