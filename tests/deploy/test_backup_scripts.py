"""`scripts/backup` and `scripts/restore`, while people use what is backed up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from tests.crash.books import give, ledger_of
from tests.deploy.clients import under_load
from tests.deploy.machines import Machine, machine
from tests.fakes.openrouter import FakeOpenRouter

pytestmark = pytest.mark.asyncio(loop_scope="module")

USER = UUID("aaaaaaaa-0000-4000-8000-000000000001")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """A machine that serves, with two euros of one user in its books."""
    folder = tmp_path_factory.mktemp("machine")
    async with FakeOpenRouter() as upstream, machine(folder, upstream) as here:
        done = await here.deploy("--config", str(folder / "settings"))
        assert done.code == 0, done.err
        await give(here.data, USER, 2_000_000)
        yield here


async def available(data: Path) -> int:
    """The user's micro-euros, by books that agree with their entries."""
    async with ledger_of(data) as ledger:
        assert await ledger.verify() == []
        return (await ledger.purse(USER)).available


async def test_a_backup_under_load_is_restored_and_the_ledger_agrees(deployed: Machine) -> None:
    async with under_load(deployed.systemd.address, deployed.data, 2) as load:
        load.begin()
        await load.more(3)
        done = await deployed.script("backup")
        await load.more(3)
    assert done.code == 0, done.err
    (file,) = done.out.splitlines()
    assert (Path(file).parent, Path(file).stat().st_mode & 0o777) == (
        deployed.root / "var/backups/chuk",
        0o600,
    )
    refused = await deployed.script("restore", file)
    assert refused.code == 1 and "a server runs" in refused.err
    before = deployed.systemd.active()
    restored = await deployed.script("restore", "--stop", file)
    assert restored.code == 0, restored.err
    assert "every balance, hold and usage row agrees" in restored.out
    assert deployed.systemd.active() == before
    assert await available(deployed.data) == 2_000_000
    # And it serves.
    async with under_load(deployed.systemd.address, deployed.data, 1) as load:
        load.begin()
        await load.more(1)


async def test_the_oldest_backups_go(deployed: Machine) -> None:
    names = [(await deployed.script("backup", "--keep", "2")).out.strip() for _ in range(3)]
    kept = {str(path) for path in (deployed.root / "var/backups/chuk").glob("chuk-*.backup")}
    assert kept == set(names[1:])


async def test_a_file_that_is_no_backup_changes_nothing(deployed: Machine, tmp_path: Path) -> None:
    file = tmp_path / "wrong.backup"
    file.write_bytes(b"nothing of ours")
    done = await deployed.script("restore", "--stop", str(file))
    assert done.code == 1 and "not a whole backup" in done.err
    assert len(deployed.systemd.active()) == 1
    assert await available(deployed.data) == 2_000_000


async def test_commands_run_as_the_service(deployed: Machine) -> None:
    done = await deployed.script("admin", "ledger", "verify")
    assert done.code == 0 and "agrees with the entries" in done.out
