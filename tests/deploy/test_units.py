"""The units: systemd understands them, they shut the service in, and it still works."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chuk.settings import load
from tests.deploy.instances import REPOSITORY
from tests.fakes.systemd_units import read_unit

UNITS = REPOSITORY / "config" / "systemd"
RUN = "chuk@1.0.0-0123456789ab.service"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says."""
    program = shutil.which("systemd-analyze")
    assert program is not None, "systemd-analyze is missing: apt-get install systemd"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def installed(root: Path) -> Path:
    """The units as a deployment installs them, below `root`, with what they run."""
    folder = root / "etc/systemd/system"
    folder.mkdir(parents=True)
    for file in UNITS.iterdir():
        shutil.copyfile(file, folder / file.name)
    (folder / "chuk.socket.d").mkdir()
    (folder / "chuk.socket.d/release.conf").write_text(f"[Socket]\nService={RUN}\n")
    python = root / "opt/chuk/runs/1.0.0-0123456789ab/.venv/bin/python"
    for program in (python, root / "bin/kill"):
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    for target in ("network-online.target", "multi-user.target", "sockets.target"):
        (folder / target).write_text("[Unit]\nDescription=A target\n")
    return folder


@pytest.mark.parametrize("name", [RUN, "chuk.socket"])
def test_systemd_finds_nothing_wrong_with_a_unit(tmp_path: Path, name: str) -> None:
    installed(tmp_path)
    done = analyze("verify", "--recursive-errors=no", "--man=no", f"--root={tmp_path}", name)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def test_the_service_can_do_little_else_than_serve() -> None:
    # The threshold is in tenths.
    done = analyze(
        "security", "--offline=true", "--threshold=20", "--no-pager", str(UNITS / "chuk@.service")
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_sets_what_an_operator_counts_on() -> None:
    unit = read_unit(UNITS, RUN)
    service = {key: unit.one("Service", key) for section, key in unit.values if section}
    assert service["Type"] == "notify" and unit.seconds("WatchdogSec", 0) > 0
    assert int(service["LimitNOFILE"]) >= 65_536
    assert service["MemoryMax"] and service["TasksMax"]
    # Else one child that is killed for want of memory would take the whole service with it.
    assert service["OOMPolicy"] == "continue"
    assert unit.one("Service", "LoadCredential") == "chuk:/etc/chuk/credentials"
    assert unit.all("Service", "Sockets") == ["chuk.socket"]


def test_a_deployed_server_tells_its_numbers_and_has_no_console(tmp_path: Path) -> None:
    own = tmp_path / "chuk.toml"
    unit = read_unit(UNITS, RUN)
    (config,) = (
        assignment.partition("=")[2].replace("/etc/chuk/chuk.toml", str(own))
        for assignment in unit.all("Service", "Environment")
        if assignment.startswith("CHUK_CONFIG=")
    )
    own.write_text("")
    deployed = load({"CHUK_CONFIG": config}, directory=REPOSITORY)
    assert (deployed.metrics.host, deployed.metrics.port) == ("127.0.0.1", 9464)
    assert deployed.server.console == "off"
    own.write_text('[metrics]\nport = 0\n[server]\nconsole = "on"\n')
    otherwise = load({"CHUK_CONFIG": config}, directory=REPOSITORY)
    assert (otherwise.metrics.port, otherwise.server.console) == (0, "on")
    assert otherwise.server.shutdown_grace == deployed.server.shutdown_grace


def test_prometheus_asks_where_a_deployed_server_tells() -> None:
    asked = (REPOSITORY / "config/prometheus/prometheus.yml").read_text("utf-8")
    assert '"127.0.0.1:9464"' in asked


def test_no_secret_stands_in_a_unit() -> None:
    text = "".join(file.read_text() for file in UNITS.iterdir())
    assert "KEY=" not in text and "SECRET=" not in text
