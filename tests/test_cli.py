"""The commands, as somebody at a terminal sees them."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import stat
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from chuk.accounts.issuer import DEFAULT_USER, EmbeddedIssuer
from chuk.accounts.tokens import TokenVerifier
from chuk.cli import main
from chuk.errors import TokenExpired
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.supabase_auth import SECRET, FakeSupabaseAuth
from tests.harness import MODEL, openrouter_environ, sse_events
from tests.processes import run_chuk, served

_USER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without any settings, for this process too."""
    monkeypatch.chdir(tmp_path)
    for name in ("SUPABASE_URL", "OPENROUTER_API_KEY", "CHUK_DATA_DIR", "CHUK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def verifier_of(folder: Path) -> TokenVerifier:
    """What accepts the tokens of the installation in this folder."""
    secret = (folder / "var" / "secrets" / "issuer.key").read_bytes()
    return TokenVerifier(EmbeddedIssuer(secret).rules(), None, log_salt=b"")


async def test_token_prints_one_token_and_nothing_else(folder: Path) -> None:
    done = await run_chuk("token", folder=folder)
    assert (done.code, done.err) == (0, "")
    (token,) = done.out.splitlines()
    assert (await verifier_of(folder).verify(token)).user_id == DEFAULT_USER
    key = folder / "var" / "secrets" / "issuer.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


async def test_a_token_is_for_whom_and_for_as_long_as_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["token", "--user", _USER, "--ttl", "90"]) == 0
    principal = await verifier_of(folder).verify(capsys.readouterr().out.strip())
    assert principal.user_id == UUID(_USER)
    assert main(["token", "--ttl", "-90"]) == 0
    with pytest.raises(TokenExpired):
        await verifier_of(folder).verify(capsys.readouterr().out.strip())


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "--user", "somebody"],
        ["token", "--ttl", "a day"],
        ["token", "--ttl", "99999999999999"],
        ["nonsense"],
        [],
        ["serve", "--nonsense"],
    ],
)
def test_a_wrong_command_line_is_explained(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: chuk" in capsys.readouterr().err


def test_help_lists_the_commands(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for command in ("serve", "token", "openapi", "doctor"):
        assert f"\n    {command} " in shown


def test_a_project_of_ones_own_issues_the_tokens(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://project.example")
    assert main(["token"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "SUPABASE_URL" in err and len(err.splitlines()) == 1


def test_openapi_prints_the_document_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["openapi"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["openapi"].startswith("3.1.")
    assert err == ""
    # A description makes no secrets and no folders.
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", ["serve", "token", "openapi", "doctor"])
def test_a_wrong_setting_is_named_with_its_problem_and_its_source(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setenv("CHUK_PORT", "eighty")
    assert main([command]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("chuk: CHUK_PORT: ")
    assert "integer" in line and "'eighty'" in line and "the environment" in line


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        (".env", "CHUK_LIMIT_CHAT=0", "CHUK_LIMIT_CHAT"),
        ("config/chuk.toml", "[server]\nprot = 1", "server.prot"),
        ("config/chuk.toml", "[sevrer]\nport = 1", "sevrer"),
        ("config/chuk.toml", "[server]\nport = 'x'", "server.port"),
        ("config/chuk.toml", "[server", "TOML"),
    ],
)
def test_so_is_a_wrong_file(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, named: str
) -> None:
    (folder / "config").mkdir()
    (folder / file).write_text(text)
    assert main(["token"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert named in line and file in line


async def test_a_wrong_setting_ends_the_process_without_a_traceback(folder: Path) -> None:
    done = await run_chuk("serve", folder=folder, CHUK_PORT="eighty")
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1


def test_a_data_folder_that_cannot_be_made_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("in the way")
    monkeypatch.setenv("CHUK_DATA_DIR", str(folder / "file"))
    assert main(["token"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder / "file") in line and "directory" in line


async def test_doctor_says_that_all_is_well(folder: Path, openrouter: FakeOpenRouter) -> None:
    async with FakeSupabaseAuth() as project:
        project.add_key("k")
        done = await run_chuk(
            "doctor",
            folder=folder,
            SUPABASE_URL=project.url,
            SUPABASE_JWT_SECRET=SECRET,
            **openrouter_environ(openrouter),
        )
        assert done.code == 0, done
        assert [line.split()[0] for line in done.out.splitlines()] == ["ok"] * 10
        assert openrouter.base_url in done.out and project.url in done.out
    assert "4 model(s)" in done.out and "1 signing key(s)" in done.out
    for secret in (openrouter.api_key, SECRET):
        assert secret not in done.out + done.err


async def test_doctor_says_what_fails(folder: Path, openrouter: FakeOpenRouter) -> None:
    async with FakeSupabaseAuth() as project:
        project.status = 500
        key = "sk-or-a-key-that-nobody-knows"
        done = await run_chuk(
            "doctor",
            folder=folder,
            SUPABASE_URL=project.url,
            **{**openrouter_environ(openrouter), "OPENROUTER_API_KEY": key},
        )
    assert done.code == 1
    verdicts = {line.split()[1]: line.split()[0] for line in done.out.splitlines()}
    assert verdicts == {
        "data": "ok",
        "tokens": "FAIL",
        "sharing": "ok",
        "models": "FAIL",
        "books": "ok",
        "billing": "ok",
        "files": "ok",
        "hearing": "ok",
        "speech": "ok",
        "images": "ok",
    }
    assert "Traceback" not in done.err
    assert key not in done.out + done.err


async def test_doctor_checks_the_embedded_issuer_too(
    folder: Path, openrouter: FakeOpenRouter
) -> None:
    done = await run_chuk("doctor", folder=folder, **openrouter_environ(openrouter))
    assert done.code == 0, done
    assert "embedded issuer" in done.out
    assert "this process alone" in done.out


async def test_serve_says_where_it_listens_and_ends_when_told(
    folder: Path, openrouter: FakeOpenRouter
) -> None:
    async with served(folder, openrouter_environ(openrouter)) as server:
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{server.url}/") as answer,
        ):
            assert answer.status == 200
        done = await server.stop(signal.SIGTERM)
    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err


async def test_serve_ends_an_open_answer_cleanly(folder: Path, openrouter: FakeOpenRouter) -> None:
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    environ = openrouter_environ(openrouter) | {"CHUK_SHUTDOWN_GRACE": "0"}
    async with served(folder, environ) as server, aiohttp.ClientSession() as client:
        await server.well(client)
        token = (await run_chuk("token", folder=folder)).out.strip()
        async with client.post(
            f"{server.url}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello"},
            headers={"Authorization": f"Bearer {token}"},
        ) as answer:
            assert answer.status == 200, await answer.text()
            await openrouter.wait_until(lambda: openrouter.completions[0].pieces_sent == 1)
            ending = asyncio.create_task(server.stop(signal.SIGTERM))
            events = sse_events(await answer.read())
        done = await ending
    assert done.code == 0
    assert ["error" in event for event in events].count(True) == 1
    assert "error" in events[-1]


async def test_a_taken_port_is_a_sentence(folder: Path, openrouter: FakeOpenRouter) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = await run_chuk(
            "serve", folder=folder, CHUK_PORT=str(port), **openrouter_environ(openrouter)
        )
    assert (done.code, done.out) == (1, "")
    sentence = [line for line in done.err.splitlines() if line.startswith("chuk: ")]
    assert len(sentence) == 1 and str(port) in sentence[0]
    assert "Traceback" not in done.err
