"""One example of every error that a client can be told about."""

from __future__ import annotations

from collections.abc import Iterator

from chuk import errors
from chuk.errors import ChukError

_EXAMPLES: tuple[ChukError, ...] = (
    ChukError(),
    errors.InvalidRequest.field("temperature", "Must be at most 2."),
    errors.ContextTooLong(max_tokens=8192, requested_tokens=9000, model="a/b"),
    errors.ContentFiltered(),
    errors.InvalidPrompt(),
    errors.InvalidDimensions(),
    errors.CorruptFile(),
    errors.Unauthorized(),
    errors.TokenExpired(1_768_472_000.0),
    errors.InvalidToken(),
    errors.InsufficientCredits(required=0.02, available=0.01, operation="chat"),
    errors.BillingError(),
    errors.RequestRefused(),
    errors.Forbidden(),
    errors.NotFound(),
    errors.ModelNotFound("a/b", "groq"),
    errors.NoSubscription(),
    errors.MethodNotAllowed(["POST", "GET"]),
    errors.AlreadySubscribed(),
    errors.IdempotencyConflict(details={"reason": "result_gone"}),
    errors.FileTooLarge(28_000_000, 29_000_001),
    errors.UnsupportedFormat("text/csv", ["application/json"]),
    errors.RateLimited(retry_after=7, limit=60),
    errors.QuotaExceeded(period="day", cap=1.0, spent=0.9),
    errors.InternalError("request-1"),
    errors.StreamInterrupted(),
    errors.ConversionFailed(),
    errors.GenerationFailed(),
    errors.ProviderError(),
    errors.TranscriptionFailed(),
    errors.ServiceUnavailable(retry_after=3),
    errors.ModelUnavailable(),
    errors.FeatureDisabled(),
    errors.ProviderTimeout(),
)

EXAMPLES: dict[str, ChukError] = {type(error).__name__: error for error in _EXAMPLES}


def error_classes(root: type[ChukError] = ChukError) -> Iterator[type[ChukError]]:
    """Every class of the tree that `chuk.errors` draws."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield from error_classes(kind)
