"""Every error: its code, its statuses on both faces, what it means, and what its details say."""

from __future__ import annotations

from collections.abc import Iterator

from chuk.errors import (
    ChukError,
    ContextTooLong,
    FileTooLarge,
    IdempotencyConflict,
    InsufficientCredits,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    QuotaExceeded,
    RateLimited,
    ServiceUnavailable,
    TokenExpired,
    UnsupportedFormat,
)
from chuk.web.openai_errors import openai_error, openai_status
from scripts.documents.tables import table

DETAILS: dict[str, dict[str, str]] = {
    "INVALID_REQUEST": {"fields": "by field, why each was refused; not always"},
    "CONTEXT_TOO_LONG": {
        "max_tokens": "what the model takes; may be null",
        "requested_tokens": "about what was asked for; may be null",
        "model": "its id",
    },
    "TOKEN_EXPIRED": {"expired_at": "ISO 8601"},
    "INSUFFICIENT_CREDITS": {
        "required": "euros",
        "available": "euros",
        "operation": "what they were for",
    },
    "FORBIDDEN": {"scope": "what an API key is not allowed to do; only then"},
    "MODEL_NOT_FOUND": {
        "model": "as asked for",
        "provider": "where it is the provider that does not have it",
    },
    "METHOD_NOT_ALLOWED": {"allowed": "the methods there are; also in `Allow`"},
    "IDEMPOTENCY_CONFLICT": {"reason": "`other_request` or `result_gone`"},
    "FILE_TOO_LARGE": {
        "max_size_bytes": "the limit",
        "max_size_display": "the same, for people",
        "file_size_bytes": "where it is known",
    },
    "UNSUPPORTED_FORMAT": {"format": "what it is", "supported": "what is read here"},
    "RATE_LIMITED": {
        "retry_after": "seconds; also in `Retry-After`",
        "limit": "requests in a window",
        "window": "seconds",
    },
    "QUOTA_EXCEEDED": {
        "period": "`day` or `month`, UTC",
        "cap": "euros",
        "spent": "euros, with what is on hold",
        "api_key_id": "where it is the budget of a key",
    },
    "INTERNAL_ERROR": {"request_id": "for whoever looks into the log; not always"},
    "SERVICE_UNAVAILABLE": {"retry_after": "seconds, where known; also in `Retry-After`"},
    "MODEL_UNAVAILABLE": {"retry_after": "seconds, where known; also in `Retry-After`"},
}
"""By code, what its details hold. Those of the others are an empty object."""

# For those that cannot be made without facts.
_SAMPLES: tuple[ChukError, ...] = (
    InvalidRequest.field("name", "why"),
    ContextTooLong(max_tokens=1, requested_tokens=2, model="a/b"),
    TokenExpired(0.0),
    InsufficientCredits(required=1.0, available=0.0, operation="chat"),
    ModelNotFound("a/b", "c"),
    MethodNotAllowed(["GET"]),
    IdempotencyConflict(details={"reason": "other_request"}),
    FileTooLarge(1, 2),
    UnsupportedFormat("a", ["b"]),
    RateLimited(retry_after=1, limit=1),
    QuotaExceeded(period="day", cap=1.0, spent=1.0, api_key_id="a"),
    InternalError("a"),
    ServiceUnavailable(retry_after=1),
)


def samples() -> Iterator[ChukError]:
    """One of each code, by status; of those with facts, all the facts that their class knows."""
    made = {each.code: each for each in _SAMPLES}
    kinds: dict[str, type[ChukError]] = {}
    family = ChukError.__subclasses__()
    for kind in family:
        if kind.__module__ == ChukError.__module__:
            kinds.setdefault(kind.code, kind)
            family += kind.__subclasses__()
    for code, kind in sorted(kinds.items(), key=lambda entry: (entry[1].status, entry[0])):
        yield made[code] if code in made else kind()


def error_table() -> str:
    """A row for each code."""
    rows = [
        (
            f"`{error.code}`",
            str(error.status),
            _openai(error),
            _when(error),
            _details(error.code),
        )
        for error in samples()
    ]
    return table(("Code", "Status", "On OpenAI's paths", "When", "`details`"), rows)


def _when(error: ChukError) -> str:
    """What its class says of it, less what is for whoever raises it."""
    text = " ".join((type(error).__doc__ or "").split("\n\n")[0].split())
    return text.partition(". ")[0].partition("; ")[0].rstrip(".")


def _openai(error: ChukError) -> str:
    shape = openai_error(error)
    return f"{openai_status(type(error))} `{shape['type']}`, `{shape['code'] or 'null'}`"


def _details(code: str) -> str:
    return "; ".join(f"`{name}`: {text}" for name, text in DETAILS.get(code, {}).items())
