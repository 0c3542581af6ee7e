"""The weights of the embedded model."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chuk.adapters.gguf import SHA256, embedded_weights
from tests.adapters.local_model import REPOSITORY


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@pytest.mark.parametrize("half", [b"", b"GGUF" + bytes(1_000_000)])
def test_half_written_weights_are_repaired(tmp_path: Path, half: bytes) -> None:
    (tmp_path / "gemma-3-270m-q4_k_m.gguf").write_bytes(half)
    file = embedded_weights(tmp_path)
    assert _sha256(file) == SHA256


def test_weights_are_put_together_once_and_again_when_they_change(tmp_path: Path) -> None:
    file = embedded_weights(tmp_path)
    first = file.stat()
    assert embedded_weights(tmp_path).stat().st_ino == first.st_ino

    with file.open("r+b") as weights:
        weights.seek(200_000_000)
        weights.write(b"other bytes, and the same size")
    assert file.stat().st_size == first.st_size
    assert _sha256(embedded_weights(tmp_path)) == SHA256


def test_drafts_of_killed_processes_are_removed_and_others_left(tmp_path: Path) -> None:
    abandoned = tmp_path / ".gemma-3-270m-q4_k_m.gguf.1"
    living = tmp_path / ".gemma-3-270m-q4_k_m.gguf.2"
    for draft in (abandoned, living):
        draft.write_bytes(b"half")
    os.utime(abandoned, (0, 0))
    embedded_weights(tmp_path)
    assert not abandoned.exists()
    assert living.exists()
    assert len(list(tmp_path.iterdir())) == 3


def test_missing_packages_are_named_with_the_way_to_install_them(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from chuk.adapters.gguf import embedded_weights\n"
        "try: embedded_weights(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    # Without site-packages, as on a machine where the extra was not installed.
    result = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("WeightsUnavailable")
    assert "pip install 'chuk[local]'" in result.stdout
    assert list(tmp_path.iterdir()) == []
