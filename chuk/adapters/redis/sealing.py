"""What Redis keeps of answers is sealed with a key that Redis does not hold."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_TAG_BYTES = 16
_NAME_DIGITS = 32
_NAMES_KEPT = 1_024
# Of SHA-256; the key is shorter.
_BLOCK_BYTES = 64


class Unsealable(Exception):
    """Sealed with another key, moved from another place, or damaged."""


class StreamSeal:
    """Seals the entries of one stream (AES-256-GCM).

    Each stream has a key of its own: with one for all, random nonces would come too near to
    meeting again on a busy day of many machines.
    """

    __slots__ = ("_cipher", "_stream")

    def __init__(self, key: bytes, stream_id: str) -> None:
        self._cipher = AESGCM(key)
        self._stream = stream_id.encode() + b":"

    def seal(self, place: bytes, data: bytes) -> bytes:
        """`data` so that it opens only in this stream, at this place."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, self._stream + place)

    def open(self, place: bytes, sealed: bytes) -> bytes:
        """What was sealed.

        Raises:
            Unsealable: it was not sealed like that.
        """
        if len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            raise Unsealable
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, self._stream + place)
        except InvalidTag:
            raise Unsealable from None


class Seals:
    """Makes the seals of all streams from one key of 32 bytes, the same for all processes."""

    def __init__(self, key: bytes) -> None:
        # HMAC-SHA-256, the key taken in once for all: for a short text the library's own call,
        # which takes it in anew, needs thrice the time.
        padded = key.ljust(_BLOCK_BYTES, b"\x00")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
        # Who asks one thing soon asks another.
        self._name_of = lru_cache(_NAMES_KEPT)(self._hidden)

    def of(self, stream_id: str) -> StreamSeal:
        """The seal of a stream."""
        return StreamSeal(self._derived("stream", stream_id), stream_id)

    def name_of(self, user_id: UUID) -> str:
        """How Redis calls a user: nobody without the key can tell whom it means."""
        return self._name_of(user_id)

    def _hidden(self, user_id: UUID) -> str:
        return self._derived("user", str(user_id)).hex()[:_NAME_DIGITS]

    def _derived(self, use: str, name: str) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(f"{use}:{name}".encode())
        outer.update(inner.digest())
        return outer.digest()
