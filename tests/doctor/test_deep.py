"""All of it at once, as somebody at a terminal or a program asks for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chuk.doctor import Discretion, examine_deeply
from chuk.doctor.deep import CHECKS
from chuk.doctor.findings import Verdict, fail, ok, warn, worst
from chuk.settings import describe, load
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.stripe import FakeStripe
from tests.fakes.supabase_project import FakeSupabaseProject
from tests.harness import openrouter_environ
from tests.processes import run_chuk
from tests.redis_server import RedisServer


async def test_every_check_says_something(
    tmp_path: Path, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    async with FakeStripe() as stripe, FakeSupabaseProject() as project:
        environ = {
            **openrouter_environ(openrouter),
            **stripe.environ(),
            "SUPABASE_URL": project.url,
            "SUPABASE_SERVICE_ROLE_KEY": project.service_role_key,
            "REDIS_URL": redis_server.url,
            "CHUK_DATA_DIR": str(tmp_path / "data"),
        }
        findings = await examine_deeply(load(environ, directory=tmp_path))
    names = {finding.name for finding in findings}
    assert {"settings", "disk", "time", "price", "webhook", "project", "redis"} <= names
    assert len(findings) >= len(CHECKS)
    for secret in (openrouter.api_key, stripe.secret_key, project.service_role_key):
        assert secret not in str(findings)


async def test_one_that_cannot_be_done_is_a_failure_and_stops_no_other(tmp_path: Path) -> None:
    # A file where the folder should be.
    (tmp_path / "data").write_text("in the way")
    settings = load({"CHUK_DATA_DIR": str(tmp_path / "data" / "below")}, directory=tmp_path)
    findings = await examine_deeply(settings)
    assert {finding.name for finding in findings} >= {"settings", "time", "weights"}


def test_the_worst_of_all_counts() -> None:
    well, soon, bad = ok("a", "b"), warn("a", "b", "c"), fail("a", "b", "c")
    assert worst([]) is Verdict.OK
    assert worst([well]) is Verdict.OK
    assert worst([well, soon]) is Verdict.WARN
    assert worst([soon, bad, well]) is Verdict.FAIL


@pytest.mark.parametrize(
    "name", [each.env for each in describe() if each.secret], ids=lambda name: name
)
def test_no_secret_is_ever_shown(tmp_path: Path, name: str) -> None:
    forms = {
        "REDIS_URL": "redis://:hush@redis.example",
        "CHUK_STREAM_KEY": f"hush{'A' * 39}=",
        "SENTRY_DSN": "https://hush@report.example/1",
    }
    secret = forms.get(name, "hush-hush")
    environ = {
        "SUPABASE_URL": "https://project.example",
        "STRIPE_WEBHOOK_SECRET": "quiet",
        "STRIPE_PRICE_ID": "price",
        name: secret,
    }
    discreet = Discretion(load(environ, directory=tmp_path))
    shown = discreet(f"it says {secret}, and hush too" if name == "REDIS_URL" else f"says {secret}")
    assert "hush" not in shown
    assert shown.startswith(("it says ", "says "))


async def test_a_program_reads_json_and_the_exit_code(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    environ = {**openrouter_environ(openrouter), "CHUK_PUBLIC_URL": "http://127.0.0.1:1"}
    done = await run_chuk("doctor", "--deep", "--json", folder=tmp_path, **environ)
    assert done.code == 1, done
    report = json.loads(done.out)
    assert report["verdict"] == "fail"
    failed = [each for each in report["findings"] if each["verdict"] == "fail"]
    assert [each["name"] for each in failed] == ["public address"]
    assert all(each["advice"] for each in failed)
    assert {"books", "models", "disk"} <= {each["name"] for each in report["findings"]}
    assert openrouter.api_key not in done.out + done.err


async def test_damaged_books_are_told_instead_of_a_traceback(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "chuk.sqlite3").write_bytes(b"not a database" * 1000)
    done = await run_chuk("doctor", "--deep", folder=tmp_path, **openrouter_environ(openrouter))
    assert done.code == 1
    assert "Traceback" not in done.err
    lines = done.out.splitlines()
    assert any(line.startswith("FAIL server") for line in lines)
    (damaged,) = [number for number, line in enumerate(lines) if " is damaged: " in line]
    assert lines[damaged].startswith("FAIL sqlite")
    assert "restore" in lines[damaged + 1]
