"""A deployment that is cut off, and the next one: one release serves, now and after a reboot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.deploy.machines import Machine, machine
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """A machine with one release on it."""
    folder = tmp_path_factory.mktemp("machine")
    async with FakeOpenRouter() as upstream, machine(folder, upstream) as here:
        done = await here.deploy("--config", str(folder / "settings"))
        assert done.code == 0, done.err
        yield here


def cutting(of: Machine, folder: Path, verb: str, name: str) -> str:
    """A systemctl that sends this signal to its caller before it does what has these words."""
    program = folder / "systemctl"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *"{verb}"*) kill -{name} $PPID ;; esac\n'
        f'exec {of.systemd.program} "$@"\n'
    )
    program.chmod(0o755)
    return str(program)


async def alone(of: Machine, release: str) -> None:
    """Only this release serves, and only it will after a reboot."""
    (service,) = of.systemd.active()
    assert service.startswith(f"chuk@{release}") and of.current == release
    assert of.systemd.enabled == {"chuk.socket", service}
    pointed = (of.systemd.units / "chuk.socket.d/release.conf").read_text("utf-8")
    assert f"Service={service}\n" in pointed


@pytest.mark.parametrize(
    "step",
    [
        "start --no-block",
        pytest.param("enable chuk.socket", marks=pytest.mark.slow),
        "disable",
        pytest.param("stop", marks=pytest.mark.slow),
    ],
)
async def test_what_was_killed_at_any_step_is_brought_to_its_end_by_the_next(
    deployed: Machine, tmp_path: Path, step: str
) -> None:
    release = deployed.change()
    killed = await deployed.deploy(SYSTEMCTL=cutting(deployed, tmp_path, step, "KILL"))
    assert killed.code == -9
    done = await deployed.deploy()
    assert done.code == 0 and " serves" in done.err, done.err
    await eventually(lambda: len(deployed.systemd.active()) == 1, timeout=30)
    await alone(deployed, release)
    assert (await deployed.deploy()).err.startswith("Nothing to do")


@pytest.mark.parametrize("name", ["HUP", pytest.param("TERM", marks=pytest.mark.slow)])
async def test_one_that_is_interrupted_leaves_what_was_there(
    deployed: Machine, tmp_path: Path, name: str
) -> None:
    before, release = deployed.current, deployed.change()
    cut = cutting(deployed, tmp_path, "start --no-block", name)
    done = await deployed.deploy(SYSTEMCTL=cut)
    assert done.code == 20 and "interrupted" in done.err
    await alone(deployed, before)
    assert (await deployed.deploy()).code == 0
    await eventually(lambda: len(deployed.systemd.active()) == 1, timeout=30)
    await alone(deployed, release)


async def test_a_release_that_had_failed_does_not_come_back_with_the_machine(
    deployed: Machine,
) -> None:
    (old,) = deployed.systemd.active()
    deployed.systemd.services[old].process.kill()
    await deployed.systemd.services[old].ended.wait()
    release = deployed.change()
    assert (await deployed.deploy()).code == 0
    await alone(deployed, release)
