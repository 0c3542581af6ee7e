"""Each script in its shortest form ends with a verdict, and its code agrees with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.trials.trial import ROOT, run

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, pins to cores")


@linux
async def test_load_delivers_everything() -> None:
    code, said = await run("trials.load", "--quick")
    assert said.endswith("== load: passed\n"), said
    assert code == 0


@linux
@pytest.mark.slow
async def test_soak_does_every_deed_and_proves_its_books() -> None:
    code, said = await run("trials.soak", "--quick")
    assert said.endswith("== soak: passed\n"), said
    assert code == 0
    for deed in ("chat", "socket_resumed", "file", "picture", "recording", "spoken", "stopped"):
        assert f"\n{deed} " in said


@linux
@pytest.mark.slow
async def test_faults_are_lived_through() -> None:
    code, said = await run("trials.faults", "--quick")
    assert said.endswith("== faults: passed\n"), said
    assert code == 0
    assert "upstream-slow + redis-down" in said


@pytest.mark.slow
async def test_made_up_requests_are_counted() -> None:
    code, said = await run("fuzzing.requests", "2")
    assert code == 0, said
    assert "requests to" in said


@pytest.mark.parametrize("module", ["trials.load", "trials.soak", "trials.faults"])
async def test_each_says_what_it_is_for(module: str) -> None:
    code, said = await run(module, "--help")
    assert code == 0
    assert f"scripts/{module.partition('.')[2]}" in said
    assert "Exits" in said


@pytest.mark.parametrize("script", ["fuzz", "audit"])
async def test_each_script_says_what_it_is_for(script: str) -> None:
    # Their help needs no environment.
    process = await asyncio.create_subprocess_exec(
        ROOT / "scripts" / script, "--help", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert f"scripts/{script}" in out.decode()
    assert "Exit codes" in out.decode()


def test_every_shell_script_is_sound() -> None:
    for path in (ROOT / "scripts").iterdir():
        if path.is_file():
            subprocess.run(["bash", "-n", path], check=True, timeout=20)
