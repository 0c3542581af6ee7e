"""Every condition that a client can be told about.

    ChukError
    ├── InvalidRequest 400 ─┬─ ContextTooLong, ContentFiltered, InvalidPrompt, InvalidDimensions,
    │                       │  CorruptFile
    ├── Unauthorized 401 ───┴─ TokenExpired, InvalidToken
    ├── InsufficientCredits, BillingError 402
    ├── Forbidden 403
    ├── NotFound 404 ───────── ModelNotFound, NoSubscription
    ├── MethodNotAllowed 405
    ├── AlreadySubscribed, IdempotencyConflict 409
    ├── FileTooLarge 413
    ├── UnsupportedFormat 415
    ├── RateLimited, QuotaExceeded 429
    ├── InternalError 500 ──── StreamInterrupted (inside a stream only), ConversionFailed,
    │                          GenerationFailed
    ├── ProviderError 502 ──── RequestRefused, TranscriptionFailed
    ├── ServiceUnavailable 503 ┬ ModelUnavailable, FeatureDisabled
    └── ProviderTimeout 504

The status and the code sit on the class; the message is a sentence that may be shown to a
person; the details are an object for programs. Neither ever carries what somebody wrote, a
token, or what an upstream said. `chuk.web.envelope` is the one place that renders them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

Details = Mapping[str, object]


class ChukError(Exception):
    """The base of the family.

    Attributes:
        code: the stable name that clients test for.
        status: the HTTP status when the answer has not begun.
        message: a sentence that makes sense when it is shown to a person.
        details: JSON-ready facts for programs; always an object.
        headers: extra HTTP headers that go with the status.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500
    sentence: ClassVar[str] = "Something went wrong on our side. Please try again."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: Details | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = message or self.sentence
        self.details: dict[str, object] = dict(details or {})
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(self.message)


class InvalidRequest(ChukError):
    """A malformed body, a wrong type, a missing field; `fields`: why each was refused."""

    code = "INVALID_REQUEST"
    status = 400
    sentence = "The request is not valid."

    def __init__(
        self,
        message: str | None = None,
        *,
        fields: Mapping[str, Sequence[str]] | None = None,
        details: Details | None = None,
    ) -> None:
        merged: dict[str, object] = dict(details or {})
        if fields:
            merged["fields"] = {name: list(reasons) for name, reasons in fields.items()}
        super().__init__(message, details=merged)

    @classmethod
    def field(cls, name: str, reason: str) -> InvalidRequest:
        """The request is wrong in one field."""
        return cls(f"{name}: {reason}", fields={name: [reason]})


class ContextTooLong(InvalidRequest):
    """The conversation does not fit the model. Both counts are tokens."""

    code = "CONTEXT_TOO_LONG"
    sentence = "This conversation is too long for the model."

    def __init__(self, *, max_tokens: int | None, requested_tokens: int | None, model: str) -> None:
        super().__init__(
            details={"max_tokens": max_tokens, "requested_tokens": requested_tokens, "model": model}
        )


class ContentFiltered(InvalidRequest):
    """The provider's moderation refused."""

    code = "CONTENT_FILTERED"
    sentence = "The provider's moderation refused this content."


class InvalidPrompt(InvalidRequest):
    """An image prompt that is empty, or over its limit of characters."""

    code = "INVALID_PROMPT"
    sentence = "The prompt must have between 1 and 1000 characters."


class InvalidDimensions(InvalidRequest):
    """An image with a side out of range, or only one side given. Sides are pixels."""

    code = "INVALID_DIMENSIONS"
    sentence = "Both sides of an image must be between 64 and 2048 pixels."


class CorruptFile(InvalidRequest):
    """A file that is damaged, truncated, encrypted or empty."""

    code = "CORRUPT_FILE"
    sentence = "This file is damaged, protected by a password, or empty."


class Unauthorized(ChukError):
    """No token came with the request."""

    code = "UNAUTHORIZED"
    status = 401
    sentence = "Please sign in."

    def __init__(self, message: str | None = None, *, details: Details | None = None) -> None:
        # RFC 9110 §15.5.2: a 401 names the scheme that would be accepted.
        super().__init__(message, details=details, headers={"WWW-Authenticate": "Bearer"})


class TokenExpired(Unauthorized):
    """A token of ours, but past its end.

    Attributes:
        user_id: whom it spoke for, where that is known; never rendered. A locked account is
            refused as such, whatever its token's age.
    """

    code = "TOKEN_EXPIRED"
    sentence = "Your session has expired. Please sign in again."

    def __init__(self, expired_at: float, user_id: UUID | None = None, said: str = "") -> None:
        """`expired_at` is in Unix seconds; `said` replaces the message."""
        self.user_id = user_id
        moment = datetime.fromtimestamp(expired_at, UTC)
        super().__init__(said, details={"expired_at": moment.strftime("%Y-%m-%dT%H:%M:%SZ")})


class InvalidToken(Unauthorized):
    """Malformed, badly signed, or made for somebody else."""

    code = "INVALID_TOKEN"
    sentence = "The access token is not valid. Please sign in again."


class InsufficientCredits(ChukError):
    """Neither credits nor a free message cover this. Amounts are euros, for printing."""

    code = "INSUFFICIENT_CREDITS"
    status = 402
    # On a WebSocket the released app shows nothing but this sentence.
    sentence = "You do not have enough credits for this. Please subscribe to go on."

    def __init__(self, *, required: float, available: float, operation: str) -> None:
        super().__init__(
            details={"required": required, "available": available, "operation": operation}
        )


class BillingError(ChukError):
    """The payment provider refused."""

    code = "BILLING_ERROR"
    status = 402
    sentence = "The payment provider refused this. Please check your payment details."


class Forbidden(ChukError):
    """A known user who may not do this."""

    code = "FORBIDDEN"
    status = 403
    sentence = "You are not allowed to do this."


class NotFound(ChukError):
    """No such route or object."""

    code = "NOT_FOUND"
    status = 404
    sentence = "This server has nothing at this address."


class ModelNotFound(NotFound):
    """No such model, or not from this provider."""

    code = "MODEL_NOT_FOUND"
    sentence = "This model is not available."

    def __init__(self, model: str, provider: str | None = None) -> None:
        details = {"model": model} if provider is None else {"model": model, "provider": provider}
        message = None if provider is None else "This provider does not offer the model."
        super().__init__(message, details=details)


class NoSubscription(NotFound):
    """This user has no customer or no subscription at the payment provider."""

    code = "NO_SUBSCRIPTION"
    sentence = "There is no subscription for this account yet."


class MethodNotAllowed(ChukError):
    """The route exists, but not for this method."""

    code = "METHOD_NOT_ALLOWED"
    status = 405
    sentence = "This address does not accept this method."

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(
            details={"allowed": sorted(allowed)}, headers={"Allow": ", ".join(sorted(allowed))}
        )


class AlreadySubscribed(ChukError):
    """A checkout for somebody whose subscription is alive."""

    code = "ALREADY_SUBSCRIBED"
    status = 409
    sentence = "This account already has a subscription."


class IdempotencyConflict(ChukError):
    """A key that stands for another request, or for a result that is not kept any more."""

    code = "IDEMPOTENCY_CONFLICT"
    status = 409
    sentence = "This idempotency key was used for another request. Use a new one."


class FileTooLarge(ChukError):
    """A body, a file or a message over its limit; sizes are bytes, `said` replaces the message."""

    code = "FILE_TOO_LARGE"
    status = 413
    sentence = "This is larger than the server accepts."

    def __init__(self, max_size: int, actual_size: int | None = None, said: str = "") -> None:
        shown = f"{max_size / 1_000_000:g} MB" if max_size >= 1_000_000 else f"{max_size} bytes"
        details: dict[str, object] = {"max_size_bytes": max_size, "max_size_display": shown}
        if actual_size is not None:
            details["file_size_bytes"] = actual_size
        super().__init__(said or f"This is larger than the {shown} allowed.", details=details)


class UnsupportedFormat(ChukError):
    """A kind of content that is not read here."""

    code = "UNSUPPORTED_FORMAT"
    status = 415
    sentence = "This format is not supported."

    def __init__(self, format_name: str, supported: Sequence[str]) -> None:
        super().__init__(details={"format": format_name, "supported": list(supported)})


class RateLimited(ChukError):
    """Too many requests. `retry_after` and `window` are seconds."""

    code = "RATE_LIMITED"
    status = 429
    sentence = "Too many requests. Please wait a moment."

    def __init__(
        self, message: str | None = None, *, retry_after: int, limit: int, window: int = 60
    ) -> None:
        details = {"retry_after": retry_after, "limit": limit, "window": window}
        super().__init__(message, details=details, headers={"Retry-After": str(retry_after)})


class QuotaExceeded(ChukError):
    """A daily or monthly quota is used up; for one, a person's own spending cap.

    Args:
        period: `day` or `month`, both in UTC.
        cap, spent: euros, for printing; `spent` includes what is on hold.
        key: `api_key_id` of the API key whose budget it is, where it is no spending cap.
    """

    code = "QUOTA_EXCEEDED"
    status = 429
    sentence = "Your own spending cap is reached. Raise it, or wait until it starts anew."

    def __init__(self, *, period: str, cap: float, spent: float, **key: str) -> None:
        said = "The monthly budget of this API key is used up." if key else None
        super().__init__(said, details={"period": period, "cap": cap, "spent": spent, **key})


class InternalError(ChukError):
    """Anything unforeseen. Carries the request id and nothing of the cause."""

    def __init__(self, request_id: str | None = None) -> None:
        super().__init__(details={"request_id": request_id} if request_id else None)


class StreamInterrupted(ChukError):
    """An answer that broke off after it had begun; only ever inside a stream."""

    code = "STREAM_INTERRUPTED"
    status = 500
    sentence = "The answer was interrupted. What arrived is incomplete."


class ConversionFailed(InternalError):
    """A file could not be converted, and the fault is ours."""

    code = "CONVERSION_FAILED"
    sentence = "This file could not be converted. Please try again."


class GenerationFailed(InternalError):
    """An image or a voice could not be made, and the fault is ours."""

    code = "GENERATION_FAILED"
    sentence = "This could not be generated. Please try again."


class ProviderError(ChukError):
    """Upstream answered with an error, or refused our own key or account."""

    code = "PROVIDER_ERROR"
    status = 502
    sentence = "The model's provider answered with an error."


class RequestRefused(ProviderError):
    """Upstream did not accept this very request, which says nothing about its health."""


class TranscriptionFailed(ProviderError):
    """The recogniser failed."""

    code = "TRANSCRIPTION_FAILED"
    sentence = "The speech could not be recognised. Please try again."


class ServiceUnavailable(ChukError):
    """The server is draining, or something it needs is away."""

    code = "SERVICE_UNAVAILABLE"
    status = 503
    sentence = "The service is not available right now. Please try again shortly."

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: int | None = None,
        details: Details | None = None,
    ) -> None:
        merged = dict(details or {})
        if retry_after is not None:
            merged["retry_after"] = retry_after
        headers = None if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(message, details=merged, headers=headers)


class ModelUnavailable(ServiceUnavailable):
    """Upstream has no capacity for the model, or no longer knows it."""

    code = "MODEL_UNAVAILABLE"
    sentence = "This model is not available right now."


class FeatureDisabled(ServiceUnavailable):
    """A part that this deployment has not configured."""

    code = "FEATURE_DISABLED"
    sentence = "This feature is switched off on this server."


class ProviderTimeout(ChukError):
    """Upstream took too long."""

    code = "PROVIDER_TIMEOUT"
    status = 504
    sentence = "The model's provider took too long to answer."
