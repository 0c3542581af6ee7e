"""Who may read what, and whether the models are as they were delivered."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from importlib import metadata
from pathlib import Path

import pytest

from chuk.app.sign_in import log_salt
from chuk.doctor import files
from chuk.settings import load
from tests.doctor.conftest import Examine, says, verdicts


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data folder of an installation."""
    folder = tmp_path / "data"
    log_salt(load({"CHUK_DATA_DIR": str(folder)}, directory=tmp_path))
    return folder


async def test_what_the_server_makes_is_its_own(
    examine: Examine, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with examine() as examined:
        assert verdicts(await files.look_at_access(examined)) == ["ok"]


@pytest.mark.parametrize(
    ("path", "mode", "verdict", "word"),
    [
        ("data", 0o777, "fail", "write"),
        ("data/secrets", 0o755, "fail", "secrets"),
        ("data/secrets/log.salt", 0o644, "fail", "log.salt"),
        (".env", 0o644, "warn", ".env"),
    ],
)
def test_rights_for_others_are_told(
    data: Path, tmp_path: Path, path: str, mode: int, verdict: str, word: str
) -> None:
    (tmp_path / ".env").touch(0o600)
    assert list(files.judge_access(data, tmp_path / ".env")) == []
    (tmp_path / path).chmod(mode)
    assert word in says(list(files.judge_access(data, tmp_path / ".env")), verdict)


def test_a_folder_that_is_not_there_yet_is_let_be(tmp_path: Path) -> None:
    assert list(files.judge_access(tmp_path / "none", tmp_path / ".env")) == []


async def test_the_models_that_are_installed_are_whole(examine: Examine) -> None:
    async with examine() as examined:
        (finding,) = await files.look_at_weights(examined)
    assert verdicts([finding]) == ["ok"]
    assert int(finding.says.split()[0]) >= len(files.PACKAGES)


def test_each_package_with_a_model_is_known_by_its_name() -> None:
    for package in files.PACKAGES:
        assert metadata.files(package)


def test_a_byte_that_changed_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights" * 1000)
    digest = urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
    assert files.is_as_delivered(file, "sha256", digest)
    file.write_bytes(b"Weights" + b"weights" * 999)
    assert not files.is_as_delivered(file, "sha256", digest)
    file.unlink()
    assert not files.is_as_delivered(file, "sha256", digest)
