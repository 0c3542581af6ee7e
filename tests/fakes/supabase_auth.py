"""A stateful stand-in for a Supabase project's sign-in: its published keys, and its tokens.

    async with FakeSupabaseAuth() as project:
        project.add_key("2026-01", "ES256")
        token = project.token(key_id="2026-01")
        ...  # point the code under test at project.url

https://supabase.com/docs/guides/auth/signing-keys
"""

from __future__ import annotations

import base64
import functools
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
import orjson
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.fakes.service import FakeServer

USER = UUID("11111111-2222-4333-8444-555555555555")
SECRET = "the-legacy-secret-of-the-project-32-bytes"
_PATH = "/auth/v1/.well-known/jwks.json"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class SigningKey:
    """One key of the project."""

    key_id: str
    algorithm: str
    private: PrivateKey

    def public_entry(self) -> dict[str, object]:
        """The key as the key set shows it."""
        kind = (
            jwt.algorithms.ECAlgorithm
            if self.algorithm == "ES256"
            else (jwt.algorithms.RSAAlgorithm)
        )
        numbers = kind.to_jwk(self.private.public_key(), as_dict=True)  # type: ignore[arg-type]
        return {**numbers, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}

    def public_pem(self) -> bytes:
        """The public key as text, as an attacker would use it for a secret."""
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class FakeSupabaseAuth(FakeServer):
    """The project. Everything it holds may be changed while it runs.

    Attributes:
        keys: all signing keys by id, published or not.
        published: ids in the key set.
        fetches: how often the key set was asked for.
        status: what the key set answers with; not 200 is an outage.
        body: answered instead of the key set, when set.
        hangs: answers nothing until `release` is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, SigningKey] = {}
        self.published: list[str] = []
        self.fetches = 0
        self.status = 200
        self.body: bytes | None = None
        self.hangs = False

    @property
    def url(self) -> str:
        """The project's address."""
        return self.address

    @property
    def issuer(self) -> str:
        """The `iss` of its tokens."""
        return f"{self.url}/auth/v1"

    def add_key(self, key_id: str, algorithm: str = "ES256", *, publish: bool = True) -> None:
        """Make a key; tokens can be signed with it at once, published or not."""
        is_ec = algorithm == "ES256"
        private = ec.generate_private_key(ec.SECP256R1()) if is_ec else _rsa_key()
        self.keys[key_id] = SigningKey(key_id, algorithm, private)
        if publish:
            self.published.append(key_id)

    def rotate(self, old: str, new: str) -> None:
        """Publish a new key instead of an old one."""
        self.published.remove(old)
        self.add_key(new)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """The claims of an ordinary token, with changes; None takes one out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": "authenticated",
            "role": "authenticated",
            "sub": str(USER),
            "iat": now,
            "exp": now + 3600,
            "email": "somebody@example.org",
            "session_id": "b1c8a7f0-0000-4000-8000-000000000000",
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key_id: str, **changes: Any) -> str:
        """A token signed with one of its keys."""
        key = self.keys[key_id]
        return jwt.encode(
            self.claims(**changes), key.private, key.algorithm, headers={"kid": key_id}
        )

    def legacy_token(self, *, secret: str = SECRET, **changes: Any) -> str:
        """A token signed with the shared secret, as older projects make them."""
        return jwt.encode(self.claims(**changes), secret, "HS256")

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_get(_PATH, self._key_set)
        return app

    async def _key_set(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        if self.hangs:
            await self.release.wait()
        body = self.body
        if body is None:
            entries = [self.keys[key_id].public_entry() for key_id in self.published]
            body = orjson.dumps({"keys": entries})
        return web.Response(body=body, status=self.status, content_type="application/json")


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    """One for all: they take long to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def handmade_token(header: dict[str, object], claims: dict[str, object], signature: bytes) -> str:
    """A token put together by hand, for what no library would sign."""
    parts = (orjson.dumps(header), orjson.dumps(claims), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
