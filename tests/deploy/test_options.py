"""What an operator mistypes ends the script at once, with nothing changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


async def ended(script: str, *options: str) -> tuple[int | None, str]:
    """The exit code of a script, and what it complains of."""
    running = await asyncio.create_subprocess_exec(
        SCRIPTS / script,
        *options,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(30):
            _, complaint = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return running.returncode, complaint.decode()


@pytest.mark.parametrize("script", ["admin", "backup", "deploy", "restore", "rollback"])
async def test_a_folder_that_is_not_there_is_named(script: str, tmp_path: Path) -> None:
    option = "--config" if script == "deploy" else "--root"
    missing = tmp_path / "missing"
    code, complaint = await ended(script, option, str(missing), "anything")
    assert code not in (0, None)
    assert str(missing) in complaint
    assert not missing.exists()


@pytest.mark.parametrize("script", ["backup", "deploy", "restore"])
async def test_an_option_without_its_value_is_answered_with_the_usage(script: str) -> None:
    code, complaint = await ended(script, "--root")
    assert code == 2
    assert f"scripts/{script}" in complaint
