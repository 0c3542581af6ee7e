"""Errors as OpenAI's clients know them: their kinds, their statuses, and their words for programs.

https://platform.openai.com/docs/guides/error-codes

The clients choose the exception they raise by the status, and try again by themselves after 408,
409, 429 and 5xx, unless the answer says `x-should-retry: false`. What is told besides OpenAI's own
four fields stands under `chuk`.
"""

from __future__ import annotations

from typing import Any

from chuk.errors import (
    ChukError,
    ContentFiltered,
    ContextTooLong,
    FileTooLarge,
    Forbidden,
    InsufficientCredits,
    InvalidDimensions,
    InvalidPrompt,
    InvalidRequest,
    InvalidToken,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    QuotaExceeded,
    RateLimited,
    RequestRefused,
    StreamInterrupted,
    TokenExpired,
    Unauthorized,
    UnsupportedFormat,
)

_INVALID = "invalid_request_error"
_SERVER = "server_error"

# What OpenAI calls it: the status where it is not ours, the type, the code. The first that fits.
_KINDS: tuple[tuple[type[ChukError], int | None, str, str | None], ...] = (
    (TokenExpired, None, _INVALID, "token_expired"),
    (InvalidToken, None, _INVALID, "invalid_api_key"),
    (Unauthorized, None, _INVALID, None),
    (InsufficientCredits, 429, "insufficient_quota", "insufficient_quota"),
    (QuotaExceeded, 429, "insufficient_quota", "insufficient_quota"),
    (RateLimited, None, "requests", "rate_limit_exceeded"),
    (Forbidden, None, "permission_error", "forbidden"),
    (ModelNotFound, None, _INVALID, "model_not_found"),
    (NotFound, None, _INVALID, "not_found"),
    (MethodNotAllowed, None, _INVALID, "method_not_supported"),
    (ContextTooLong, None, _INVALID, "context_length_exceeded"),
    (ContentFiltered, None, _INVALID, "content_filter"),
    (FileTooLarge, None, _INVALID, "request_too_large"),
    (UnsupportedFormat, 400, _INVALID, "unsupported_format"),
    (InvalidRequest, None, _INVALID, None),
    # A schema, say, that only the model's server could read: as wrong the next time.
    (RequestRefused, 400, _INVALID, "request_refused"),
)
# Another try would only cost or fail once more: the user has to act, or was already charged.
_FINAL = (InsufficientCredits, QuotaExceeded, StreamInterrupted)
_PARAMETERS: dict[type[ChukError], str] = {
    ContextTooLong: "messages",
    InvalidDimensions: "size",
    InvalidPrompt: "prompt",
    ModelNotFound: "model",
}


def openai_status(error: type[ChukError]) -> int:
    """The HTTP status under which an OpenAI client expects this error."""
    for kind, status, _, _ in _KINDS:
        if issubclass(error, kind):
            return status or error.status
    return error.status


def openai_headers(error: ChukError) -> dict[str, str]:
    """The error's own headers, and whether it is worth another try where that is not plain."""
    final = isinstance(error, _FINAL) or error.status == 409
    return {**error.headers, **({"x-should-retry": "false"} if final else {})}


def openai_error(error: ChukError) -> dict[str, Any]:
    """`message`, `type`, `param` and `code`; our own code and details under `chuk`."""
    kind, code = _names(error)
    return {
        "message": _message(error),
        "type": kind,
        "param": _parameter(error),
        "code": code,
        "chuk": {"code": error.code, "details": error.details},
    }


def _message(error: ChukError) -> str:
    """Our sentence; where clients look for OpenAI's own words in it, those."""
    if isinstance(error, RequestRefused):
        return "The model's provider did not accept this request."
    limit = error.details.get("max_tokens") if isinstance(error, ContextTooLong) else None
    if limit is None:
        return error.message
    asked = error.details.get("requested_tokens")
    requested = "more" if asked is None else f"about {asked} tokens"
    return (
        f"This model's maximum context length is {limit} tokens. However, you requested "
        f"{requested}. Please reduce the length of the messages."
    )


def _names(error: ChukError) -> tuple[str, str | None]:
    for kind, _, type_name, code in _KINDS:
        if isinstance(error, kind):
            return type_name, code
    return _INVALID if error.status < 500 else _SERVER, error.code.lower()


def _parameter(error: ChukError) -> str | None:
    for kind, name in _PARAMETERS.items():
        if isinstance(error, kind):
            return name
    fields = error.details.get("fields")
    return next(iter(fields), None) if isinstance(fields, dict) else None
