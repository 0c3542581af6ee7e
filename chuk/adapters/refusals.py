"""What an upstream's error means for a client, by the contract's table (§3).

Only statuses, codes and headers are read: an upstream's message may quote the prompt, so it is
matched against a few known phrases and never passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from chuk.clock import utc_now
from chuk.errors import (
    ChukError,
    ContentFiltered,
    ContextTooLong,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    RequestRefused,
)

# OpenAI and its imitators: `context_length_exceeded`; llama.cpp: `exceed_context_size_error`;
# OpenRouter and vLLM only say it in a sentence.
_CONTEXT = re.compile(
    r"context[_ ](length|size|window)|maximum context|too many (input )?tokens|prompt is too long",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"maximum context length (?:is|of) ([0-9]{1,9})\b", re.IGNORECASE)
_ASKED = re.compile(
    r"(?:requested(?: about)?|resulted in|request has) ([0-9]{1,9})\b", re.IGNORECASE
)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_NOT_ACCEPTED = frozenset({400, 413, 422})
_NO_CAPACITY = frozenset({404, 429, 503, 529})
_TOO_SLOW = frozenset({408, 504, 522, 524})


def refusal(
    status: int,
    error: Mapping[str, object],
    model_id: str,
    *,
    retry_after: int | None = None,
) -> ChukError:
    """Translate one upstream error.

    Args:
        status: the HTTP status, or the `code` of an error inside the stream.
        error: upstream's error object; may be empty.
        retry_after: seconds, when upstream named them.
    """
    metadata = error.get("metadata")
    if status == 403 and isinstance(metadata, Mapping) and "reasons" in metadata:
        # OpenRouter's moderation; its metadata also quotes the prompt.
        return ContentFiltered()
    named = f"{error.get('code')} {error.get('type')}"
    if "content_filter" in named or "content_policy" in named:
        return ContentFiltered()
    sentence = f"{named} {error.get('message')}"
    if status in _NOT_ACCEPTED and _CONTEXT.search(sentence):
        return ContextTooLong(
            max_tokens=_count(error.get("n_ctx")) or _number(_LIMIT, sentence),
            requested_tokens=_count(error.get("n_prompt_tokens")) or _number(_ASKED, sentence),
            model=model_id,
        )
    if status in _NO_CAPACITY:
        return ModelUnavailable(retry_after=retry_after)
    if status in _TOO_SLOW:
        return ProviderTimeout()
    if status in _NOT_ACCEPTED:
        return RequestRefused()
    # 401, 402 and 403 are about our own key and account: never the user's 401 or 402.
    return ProviderError()


def retry_after_seconds(header: str | None, now: datetime | None = None) -> int | None:
    """Read `Retry-After`: seconds or a date (RFC 9110 §10.2.3); None where it is neither."""
    if not header:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return min(int(header), 86_400)
    try:
        moment = parsedate_to_datetime(header)
        return max(0, min(round((moment - (now or utc_now())).total_seconds()), 86_400))
    except (ValueError, TypeError):
        return None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(pattern: re.Pattern[str], sentence: str) -> int | None:
    found = pattern.search(sentence)
    return int(found[1]) if found else None
