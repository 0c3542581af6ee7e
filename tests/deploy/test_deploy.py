"""`scripts/deploy` and `scripts/rollback`, on a machine that is a folder."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.deploy.clients import under_load
from tests.deploy.machines import Machine, machine
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import answer_text, eventually
from tests.watch.test_site import text_at
from tests.watch.traffic import value

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[FakeOpenRouter]:
    """A fake OpenRouter for all tests here."""
    async with FakeOpenRouter() as fake:
        yield fake


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployed(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeOpenRouter
) -> AsyncIterator[Machine]:
    """A machine with one release on it, for tests that leave it serving."""
    folder = tmp_path_factory.mktemp("machine")
    async with machine(folder, upstream) as here:
        done = await here.deploy("--config", str(folder / "settings"))
        assert done.code == 0, done.err
        yield here


async def tells_numbers(of: Machine) -> bool:
    """Whether its server tells them, and is ready by them."""
    async with aiohttp.ClientSession() as client:
        text, _ = await text_at(client, of.numbers)
        return value(text, "chuk_ready") == 1


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_deployed_release_serves_from_its_own_folder(deployed: Machine) -> None:
    (service,) = deployed.systemd.active()
    assert service.startswith(f"chuk@{deployed.current}")
    assert {service, "chuk.socket"} <= deployed.systemd.enabled
    assert (deployed.opt / "current" / "chuk" / "server.py").is_file()
    assert await tells_numbers(deployed)
    secrets = deployed.root / "etc/chuk/credentials"
    assert (mode(secrets), mode(secrets / "OPENROUTER_API_KEY")) == (0o700, 0o600)
    assert mode(deployed.data) == 0o700
    assert mode(deployed.data / "chuk.sqlite3") == 0o600


async def test_deployed_again_there_is_nothing_to_do(deployed: Machine) -> None:
    assert (await deployed.deploy()).code == 0
    before = deployed.systemd.active()
    done = await deployed.deploy()
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("Nothing to do:") and len(done.err.splitlines()) == 1
    assert deployed.systemd.active() == before


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(deployed: Machine) -> None:
    current, before = deployed.current, deployed.systemd.active()
    release = deployed.change()
    done = await deployed.deploy("--dry-run")
    assert done.code == 0
    assert done.err.splitlines() == [
        f"would: installing release {release}",
        f"would: letting {release} take over",
    ]
    assert (deployed.current, deployed.systemd.active()) == (current, before)
    assert not (deployed.opt / "releases" / release).exists()


async def test_what_is_not_committed_is_not_deployed(deployed: Machine) -> None:
    (deployed.source / "stray").write_text("")
    done = await deployed.deploy()
    (deployed.source / "stray").unlink()
    assert done.code == 10 and "not committed" in done.err


async def test_an_upgrade_under_load_refuses_nobody_and_cuts_nothing(
    deployed: Machine, upstream: FakeOpenRouter
) -> None:
    released = asyncio.Event()
    upstream.script(Reply(content=["lo", "ng"], gates={1: released}))
    (old,) = deployed.systemd.active()
    async with under_load(deployed.systemd.address, deployed.data, 2) as load:
        asked = len(upstream.completions)
        stream = asyncio.create_task(load.chat("long"))
        await upstream.wait_until(lambda: len(upstream.completions) > asked)
        load.begin()
        release = deployed.change()
        done = await deployed.deploy()
        assert done.code == 0, done.err
        assert deployed.current == release and old not in deployed.systemd.active()
        await load.more(5)
        assert not stream.done() and deployed.systemd.services[old].state == "deactivating"
        released.set()
        events = await stream
        assert answer_text(events[:-1]) == "long" and events[-1] == "[DONE]"
    await eventually(lambda: deployed.systemd.services[old].state == "inactive", timeout=30)
    backups = [path.name for path in (deployed.root / "var/backups/chuk").iterdir()]
    assert any(name.startswith(f"before-{release}-") for name in backups)


async def test_other_settings_of_the_same_release_are_taken_over_too(deployed: Machine) -> None:
    await deployed.deploy()
    (old,) = deployed.systemd.active()
    with (deployed.root / "etc/chuk/chuk.toml").open("a") as settings:
        settings.write("\n[plan]\nfree_messages = 9\n")
    planned = await deployed.deploy("--dry-run")
    assert planned.err == f"would: letting {deployed.current} take over\n"
    assert (await deployed.deploy()).code == 0
    (new,) = deployed.systemd.active()
    assert new != old and new.startswith(f"chuk@{deployed.current}.")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param(
            "chuk/server.py",
            "    stop = stop_on_signals()\n",
            "    raise OSError('broken')\n",
            id="it does not start",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "chuk/api/health_check.py",
            '        return "ok" if',
            '        return "unavailable" if',
            id="it stays red",
        ),
    ],
)
async def test_a_broken_release_is_rolled_back_by_itself(
    deployed: Machine, file: str, old: str, new: str
) -> None:
    current, before = deployed.current, deployed.systemd.active()
    broken = deployed.change(file, old, new)
    try:
        async with under_load(deployed.systemd.address, deployed.data, 1) as load:
            load.begin()
            done = await deployed.deploy("--patience", "2")
            await load.more(2)
    finally:
        deployed.change(file, new, old)
    assert done.code == 20 and "Rolling back" in done.err
    assert (deployed.current, deployed.systemd.active()) == (current, before)
    assert f"chuk@{broken}.service" not in deployed.systemd.enabled
    assert (
        before[0].split("@")[1]
        in (deployed.systemd.units / "chuk.socket.d/release.conf").read_text() + ".service"
    )


async def test_a_roll_back_brings_the_release_before_back(deployed: Machine) -> None:
    await deployed.deploy()
    first = deployed.current
    second = deployed.change()
    assert (await deployed.deploy()).code == 0
    assert deployed.current == second
    async with under_load(deployed.systemd.address, deployed.data, 1) as load:
        load.begin()
        done = await deployed.script("rollback")
        assert done.code == 0, done.err
        await load.more(2)
    assert deployed.current == first
    (service,) = deployed.systemd.active()
    assert service.startswith(f"chuk@{first}")


async def test_it_is_rolled_back_on_another_machine_over_ssh(
    deployed: Machine, tmp_path: Path
) -> None:
    await deployed.deploy()
    first = deployed.current
    deployed.change()
    assert (await deployed.deploy()).code == 0
    there = ("--host", "somebody@machine.example")
    listed = await deployed.script("rollback", *there, "--list", PATH=ssh_in(tmp_path))
    assert listed.out.split()[0] == first, listed.err
    done = await deployed.script("rollback", *there, PATH=ssh_in(tmp_path))
    assert done.code == 0, done.err
    assert deployed.current == first


async def test_what_is_not_there_cannot_be_rolled_back_to(deployed: Machine) -> None:
    done = await deployed.script("rollback", "0.0.1-unknown")
    assert done.code == 22 and "not installed" in done.err


async def test_only_so_many_releases_are_kept(deployed: Machine) -> None:
    release = deployed.change()
    assert (await deployed.deploy("--keep", "1")).code == 0
    kept = {path.name for path in (deployed.opt / "releases").iterdir()}
    # The one that is just letting its streams finish may still be there.
    assert release in kept and len(kept) <= 2
    # A copy of the books for each upgrade there ever was would fill the disk.
    made = (deployed.root / "var/backups/chuk").glob("before-*")
    assert {path.name.removeprefix("before-").rpartition("-")[0] for path in made} <= kept


async def test_a_wrong_setting_is_told_as_such_and_not_as_damage_to_the_books(
    deployed: Machine,
) -> None:
    settings = deployed.root / "etc/chuk/chuk.toml"
    right, before = settings.read_text("utf-8"), deployed.systemd.active()
    try:
        settings.write_text(right + "\n[chat]\nresume_kep = 9\n", "utf-8")
        for _ in range(2):
            done = await deployed.deploy()
            assert done.code == 2 and "did you mean resume_keep" in done.err
            assert "the books" not in done.err
            deployed.change()
    finally:
        settings.write_text(right, "utf-8")
    assert deployed.systemd.active() == before


async def test_books_that_their_operator_migrates_do_not_stand_in_the_way_of_a_roll_back(
    deployed: Machine,
) -> None:
    await deployed.deploy()
    deployed.change()
    assert (await deployed.deploy()).code == 0
    secrets = deployed.root / "etc/chuk/credentials"
    try:
        (secrets / "SUPABASE_URL").write_text("http://127.0.0.1:9")
        (secrets / "SUPABASE_SERVICE_ROLE_KEY").write_text("key")
        done = await deployed.script("rollback", "--patience", "1")
    finally:
        for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"):
            (secrets / name).unlink()
    # Whether it becomes healthy there is not what is asked.
    assert done.code in (0, 20) and "yours to bring up to date" in done.err


def ssh_in(folder: Path) -> str:
    """A PATH with an ssh that runs what it is told in a shell, as the other side does."""
    program = folder / "ssh"
    program.write_text('#!/bin/sh\nshift\nexec sh -c "$*"\n')
    program.chmod(0o755)
    return f"{folder}:/usr/sbin:/usr/bin:/bin"


@pytest.mark.parametrize("option", ["--dry-run", pytest.param("", marks=pytest.mark.slow)])
async def test_it_is_deployed_to_another_machine_over_ssh(
    deployed: Machine, tmp_path: Path, option: str
) -> None:
    before, release = deployed.current, deployed.change()
    options = ["--host", "root@machine.example", *([option] if option else [])]
    done = await deployed.deploy(*options, PATH=ssh_in(tmp_path), TMPDIR=str(tmp_path))
    assert done.code == 0, done.err
    assert f"letting {release} take over" in done.err
    assert deployed.current == (before if option else release)
    # Nothing is left there: it had the secrets.
    assert [entry.name for entry in tmp_path.iterdir()] == ["ssh"]


async def test_a_domain_is_served_by_caddy(deployed: Machine) -> None:
    assert (await deployed.deploy()).code == 0
    assert (await deployed.deploy("--domain", "api.example.org")).code == 0
    caddyfile = (deployed.root / "etc/caddy/Caddyfile").read_text()
    assert "\napi.example.org {\n" in caddyfile and "\napi.chuk.chat {" not in caddyfile
    assert deployed.systemd.calls[-1] == ["reload-or-restart", "caddy.service"]
    again = await deployed.deploy("--domain", "api.example.org")
    assert again.err.startswith("Nothing to do")


async def test_a_wrong_option_is_explained(deployed: Machine) -> None:
    done = await deployed.script("deploy", "--what")
    assert done.code == 2 and "--host USER@HOST" in done.err
