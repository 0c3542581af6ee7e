"""Who signs people in: a Supabase project, or the embedded issuer."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from chuk.accounts.issuer import ISSUER, EmbeddedIssuer, installation_secret
from chuk.accounts.tokens import TokenRules, TokenVerifier
from chuk.adapters.supabase.jwks import SupabaseKeys
from chuk.app.parts import Part
from chuk.settings import Settings


def embedded_issuer(settings: Settings) -> EmbeddedIssuer | None:
    """The issuer of this installation; None where a Supabase project signs people in.

    Raises:
        OSError: the data folder cannot be written.
    """
    if settings.supabase.url:
        return None
    return EmbeddedIssuer(installation_secret(_secrets(settings), "issuer.key"))


def log_salt(settings: Settings) -> bytes:
    """What makes the names that stand for users in this installation's logs.

    Raises:
        OSError: the data folder cannot be written.
    """
    return installation_secret(_secrets(settings), "log.salt")


def token_verifier(
    settings: Settings, session: aiohttp.ClientSession
) -> tuple[TokenVerifier, Part]:
    """What tells whose a token is, and how `chuk doctor` shows it."""
    supabase = settings.supabase
    salt = log_salt(settings)
    issuer = embedded_issuer(settings)
    if issuer is not None:

        async def made() -> str:
            principal = await verifier.verify(issuer.token())
            return f"made and verified a token for {principal.user_id}"

        verifier = TokenVerifier(issuer.rules(), None, log_salt=salt)
        return verifier, Part("tokens", f"embedded issuer ({ISSUER})", made)
    keys = SupabaseKeys(session, supabase.url)
    rules = TokenRules(
        issuer=f"{supabase.url.rstrip('/')}/auth/v1",
        secret=supabase.jwt_secret.encode() or None,
    )

    async def fetched() -> str:
        return f"{await keys.probe()} signing key(s)"

    part = Part("tokens", f"Supabase at {supabase.url}", fetched)
    return TokenVerifier(rules, keys, log_salt=salt), part


def _secrets(settings: Settings) -> Path:
    return settings.server.data_dir / "secrets"
