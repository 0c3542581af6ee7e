"""The embedded issuer and the secret it signs with."""

from __future__ import annotations

import multiprocessing
import os
import stat
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from chuk.accounts.issuer import DEFAULT_USER, EmbeddedIssuer, installation_secret
from chuk.accounts.tokens import TokenVerifier
from chuk.errors import InvalidToken, TokenExpired


def test_the_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "secrets"
    former = os.umask(0)
    try:
        secret = installation_secret(folder, "issuer.key")
    finally:
        os.umask(former)
    assert len(secret) >= 32
    assert stat.S_IMODE((folder / "issuer.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == ["issuer.key"]


def test_the_secret_survives_restarts(tmp_path: Path) -> None:
    assert installation_secret(tmp_path, "key") == installation_secret(tmp_path, "key")


def test_each_secret_is_its_own(tmp_path: Path) -> None:
    secrets = {
        installation_secret(tmp_path / place, name) for place in "ab" for name in ("one", "two")
    }
    assert len(secrets) == 4


def test_processes_that_start_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        for round_ in range(5):
            folder = tmp_path / str(round_)
            made = pool.starmap(installation_secret, [(folder, "key")] * 8, chunksize=1)
            assert set(made) == {(folder / "key").read_bytes()}
            assert [file.name for file in folder.iterdir()] == ["key"]


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        installation_secret(tmp_path / "file" / "secrets", "key")


@pytest.mark.parametrize("user", [DEFAULT_USER, UUID(int=5)])
async def test_its_tokens_speak_for_whom_they_were_made(user: UUID) -> None:
    issuer = EmbeddedIssuer(b"k" * 32)
    verifier = TokenVerifier(issuer.rules(), None, log_salt=b"")
    assert (await verifier.verify(issuer.token(user))).user_id == user


async def test_another_installation_does_not_accept_them() -> None:
    token = EmbeddedIssuer(b"k" * 32).token()
    verifier = TokenVerifier(EmbeddedIssuer(b"other" * 8).rules(), None, log_salt=b"")
    with pytest.raises(InvalidToken):
        await verifier.verify(token)


async def test_a_negative_lifetime_makes_an_expired_token() -> None:
    issuer = EmbeddedIssuer(b"k" * 32)
    verifier = TokenVerifier(issuer.rules(), None, log_salt=b"")
    with pytest.raises(TokenExpired):
        await verifier.verify(issuer.token(lifetime=timedelta(minutes=-5)))
