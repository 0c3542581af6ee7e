"""What fal's answers mean. Its words may quote the prompt: none of them is passed on or logged."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from chuk.adapters.refusals import refusal, retry_after_seconds
from chuk.errors import ChukError, ContentFiltered, ModelUnavailable, ProviderError
from chuk.logs import logger

_log = logger("fal")
_MODERATED = "content_policy_violation"
_ERROR_TYPE = re.compile(r"[a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise ProviderError from None
        if not isinstance(document, dict):
            raise ProviderError
        return document


def refused(step: str, answer: Answer, model: str) -> ChukError:
    """What a refusal means for a client; its words, which quote the prompt, go nowhere."""
    kind = answer.headers.get("X-Fal-Error-Type", "")
    _log.warning(
        "refused",
        step=step,
        status=answer.status,
        type=kind if _ERROR_TYPE.fullmatch(kind) else None,
    )
    if answer.status in (400, 422) and _is_moderation(answer.body):
        return ContentFiltered()
    if step == "download":
        return ProviderError()
    wait = retry_after_seconds(answer.headers.get("Retry-After"))
    error = refusal(answer.status, {}, model, retry_after=wait)
    return ModelUnavailable(retry_after=wait) if kind == "runner_scheduling_failure" else error


def _is_moderation(body: bytes) -> bool:
    """Whether any of the errors in `detail`, or at the top, is moderation's."""
    document: object = None
    with suppress(orjson.JSONDecodeError):
        document = orjson.loads(body)
    detail = document.get("detail") if isinstance(document, dict) else document
    errors = detail if isinstance(detail, list) else []
    return any(isinstance(each, dict) and each.get("type") == _MODERATED for each in errors)


def inline_picture(url: str) -> bytes:
    """The bytes of a `data:` URL."""
    head, _, encoded = url.partition(",")
    if not head.endswith(";base64"):
        raise ProviderError
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ProviderError from None


def whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
