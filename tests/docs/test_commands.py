"""Every command in the documents is run, on a server that is all fakes and embedded parts."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chuk.accounts.issuer import DEFAULT_USER
from chuk.cli import command_line
from tests.docs.commands import (
    NOT_RUN,
    ROOT,
    SHELL,
    Block,
    blocks,
    documents,
    is_run,
    prepared,
    run,
    shell_commands,
    to_run,
    whole_script,
    why_not_run,
)
from tests.docs.desk import command_desk
from tests.fakes.openrouter import FakeEndpoint, FakeModel, FakeOpenRouter
from tests.fakes.stripe import FakeStripe
from tests.harness import RunningServer, running_server

NAMES = [str(file.relative_to(ROOT)) for file in documents()]
TO_RUN = {name: told for name, told in to_run(documents()) if told}
EVERYTHING = [command for name in NAMES for command in shell_commands(ROOT / name)]
PROGRAMS = [block for name in NAMES for block in blocks(ROOT / name) if block.language == "python"]


@dataclass
class Place:
    """A folder in which somebody follows a document, and the server that they talk to."""

    folder: Path
    server: RunningServer
    environ: dict[str, str]


@pytest.fixture(scope="module")
def chuk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program, loaded once for all of them."""
    with command_desk(tmp_path_factory.mktemp("desk")) as program:
        yield program


@pytest.fixture
async def place(tmp_path: Path, openrouter: FakeOpenRouter, chuk: Path) -> AsyncIterator[Place]:
    """A server whose language model answers at once; voice, ear, renderer and vectors are real."""
    openrouter.models.append(
        FakeModel(id="gemma-3-270m", name="Gemma", endpoints=[FakeEndpoint("L", "l", "0", "0")])
    )
    async with FakeStripe() as stripe:
        settings = {
            "LOCAL_MODEL_URL": openrouter.base_url,
            "LOCAL_MODEL_NAME": "gemma-3-270m",
            "LOCAL_MODEL_API_KEY": openrouter.api_key,
            **stripe.environ(),
        }
        async with running_server(settings, tmp_path) as server:
            folder = tmp_path / "repository"
            programs = prepared(folder)
            (programs / "chuk").symlink_to(chuk)
            environ = {
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "TOKEN": server.token(),
                "CHUK_DATA_DIR": str(server.settings.server.data_dir),
                **settings,
            }
            yield Place(folder, server, environ)


@pytest.mark.parametrize("name", TO_RUN)
async def test_the_commands_of_a_document_work_one_after_the_other(place: Place, name: str) -> None:
    script = whole_script(TO_RUN[name], place.server.url)
    code, said = await run(["bash", "-c", script], place.folder, place.environ)
    assert code == 0, said
    assert 'data: {"error"' not in said


@pytest.mark.parametrize("block", PROGRAMS, ids=lambda block: f"{block.document}:{block.line}")
async def test_the_programs_in_the_documents_print_an_answer(place: Place, block: Block) -> None:
    text = block.text.replace("http://127.0.0.1:8080", place.server.url)
    file = place.folder / "program.py"
    file.write_text(text, "utf-8")
    code, said = await run([sys.executable, str(file)], place.folder, place.environ)
    assert code == 0, said
    assert said.strip()


@pytest.mark.parametrize("command", sorted(set(EVERYTHING)))
def test_each_command_is_run_or_has_its_reason(command: str) -> None:
    assert is_run(command) or why_not_run(command), "see RUN and NOT_RUN in tests/docs/commands.py"


def test_each_reason_for_not_running_a_command_is_needed() -> None:
    assert {why_not_run(command) for command in EVERYTHING} - {None} <= set(NOT_RUN.values())


@pytest.mark.parametrize("command", sorted({c for c in EVERYTHING if re.search(r"\bchuk ", c)}))
def test_each_command_of_chuk_is_one_that_there_is(command: str) -> None:
    for found in re.finditer(r"(?:^|&& |\$\(\S*|\s|/)chuk ((?:[^&|;)`]|\\.)*)", command):
        arguments = shlex.split(found[1])
        told = [str(DEFAULT_USER) if each in ("USER", "UUID") else each for each in arguments]
        command_line().parse_args(told)


@pytest.mark.parametrize("name", NAMES)
def test_each_script_that_is_named_is_there(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for script in set(re.findall(r"(?<![\w/])scripts/[a-z][\w-]*", text)):
        assert (ROOT / script).exists(), script


def test_every_block_says_what_it_is() -> None:
    known = {*SHELL, "python", "json", "toml", "promql", "ini", "nginx", "sql", "text", ""}
    for name in NAMES:
        for block in blocks(ROOT / name):
            assert block.language in known, f"{name}:{block.line}"
