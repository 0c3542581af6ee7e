"""Checks that a webhook's body comes from Stripe, and reads its event.

https://docs.stripe.com/webhooks#verify-manually
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

import orjson

from chuk.adapters.stripe_objects import incoming_event
from chuk.billing.ports import IncomingEvent
from chuk.clock import Clock, utc_now
from chuk.errors import InvalidRequest

TOLERANCE = 300
_MOST_PARTS = 20
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


class StripeWebhook:
    """Reads events that were signed with the webhook's secret.

    Args:
        secret: the webhook's signing secret.
        is_live: whether our key is of live mode; events of the other mode are not ours.

    Raises:
        ValueError: the secret is empty, so that anybody could sign.
    """

    def __init__(self, secret: str, *, is_live: bool, clock: Clock = utc_now) -> None:
        if not secret:
            raise ValueError("no webhook secret")
        self._secret = secret.encode()
        self._is_live = is_live
        self._clock = clock

    def read(self, body: bytes, signature: str) -> IncomingEvent:
        """See `chuk.billing.ports.EventReader.read`."""
        now = self._clock()
        self._verify(body, signature, now)
        try:
            thing: object = orjson.loads(body)
            if isinstance(thing, Mapping):
                return incoming_event(thing, is_live=self._is_live, received_at=now)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, OSError):
            pass  # refused below, as what is no object is
        raise InvalidRequest("The body is not an event.")

    def _verify(self, body: bytes, signature: str, now: datetime) -> None:
        signed_at, signatures = _parts(signature)
        signed = hmac.new(self._secret, signed_at.encode() + b"." + body, hashlib.sha256)
        good = signed.hexdigest().encode()
        # While a secret is being rolled there are two; all are compared, whichever fits.
        fits = [hmac.compare_digest(good, each.encode("utf-8", "replace")) for each in signatures]
        if not any(fits):
            raise InvalidRequest("The signature is wrong.")
        if abs(now.timestamp() - int(signed_at)) > TOLERANCE:
            raise InvalidRequest("The signature is too old.")


def _parts(header: str) -> tuple[str, list[str]]:
    """The moment of signing, as it was signed, and the signatures of the one known scheme."""
    signed_at = ""
    signatures: list[str] = []
    for part in header.split(",")[:_MOST_PARTS]:
        name, _, value = part.strip().partition("=")
        if name == "t":
            signed_at = value
        elif name == "v1":
            signatures.append(value)
    if not _SECONDS.fullmatch(signed_at) or not signatures:
        raise InvalidRequest("The request is not signed.")
    return signed_at, signatures
