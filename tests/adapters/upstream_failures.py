"""The ways in which an upstream refuses a completion, and what each means for a client."""

from __future__ import annotations

from typing import Any

from chuk.errors import (
    ChukError,
    ContentFiltered,
    ContextTooLong,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    RequestRefused,
)
from tests.fakes.openrouter import Reply

SECRET = "the text of somebody's prompt"

MODERATED: dict[str, Any] = {
    "code": 403,
    "message": f"Your input was flagged: {SECRET}",
    "metadata": {"reasons": ["violence"], "flagged_input": SECRET, "provider_name": "Groq"},
}
TOO_LONG: dict[str, Any] = {
    "code": 400,
    "message": "This endpoint's maximum context length is 131072 tokens. However, you requested "
    f"about 140000 tokens. Please reduce: {SECRET}",
}
LLAMA_TOO_LONG: dict[str, Any] = {
    "code": 400,
    "type": "exceed_context_size_error",
    "message": SECRET,
    "n_ctx": 8192,
    "n_prompt_tokens": 9000,
}
OPENAI_TOO_LONG: dict[str, Any] = {
    "code": "context_length_exceeded",
    "type": "invalid_request_error",
    "message": SECRET,
}


def reply(status: int, error: dict[str, Any] | None = None, **headers: str) -> Reply:
    """An error answer; without an error object of its own it quotes the prompt."""
    error = error or {"code": status, "message": SECRET}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, error=error, headers=named)


REFUSALS: dict[str, tuple[Reply, type[ChukError], dict[str, object]]] = {
    "302": (reply(302, Location="/api/v1/models"), ProviderError, {}),
    "400": (reply(400), RequestRefused, {}),
    "400 too long": (
        reply(400, TOO_LONG),
        ContextTooLong,
        {"max_tokens": 131_072, "requested_tokens": 140_000, "model": "qwen/qwen3-32b"},
    ),
    "400 too long, llama.cpp": (
        reply(400, LLAMA_TOO_LONG),
        ContextTooLong,
        {"max_tokens": 8_192, "requested_tokens": 9_000, "model": "qwen/qwen3-32b"},
    ),
    "400 too long, OpenAI": (
        reply(400, OPENAI_TOO_LONG),
        ContextTooLong,
        {"max_tokens": None, "requested_tokens": None, "model": "qwen/qwen3-32b"},
    ),
    "401": (reply(401), ProviderError, {}),
    "402": (reply(402), ProviderError, {}),
    "403": (reply(403), ProviderError, {}),
    "403 moderation": (reply(403, MODERATED), ContentFiltered, {}),
    "404": (reply(404), ModelUnavailable, {}),
    "408": (reply(408), ProviderTimeout, {}),
    "413": (reply(413), RequestRefused, {}),
    "422": (reply(422), RequestRefused, {}),
    "429": (reply(429), ModelUnavailable, {}),
    "429 wait": (reply(429, Retry_After="17"), ModelUnavailable, {"retry_after": 17}),
    "429 nonsense": (reply(429, Retry_After="9" * 5_000), ModelUnavailable, {}),
    "500": (reply(500), ProviderError, {}),
    "502": (reply(502), ProviderError, {}),
    "503": (reply(503, Retry_After="3"), ModelUnavailable, {"retry_after": 3}),
    "504": (reply(504), ProviderTimeout, {}),
    "524": (reply(524), ProviderTimeout, {}),
    "529": (reply(529), ModelUnavailable, {}),
}
