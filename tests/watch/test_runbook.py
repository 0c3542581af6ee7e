"""The runbook has a section for each alert, in the same form, with commands that exist."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
from pathlib import Path

import pytest

from chuk.cli import command_line
from chuk.metrics.collector import exposition
from chuk.settings import describe
from tests.redis_server import RedisServer
from tests.watch.shipped import RUNBOOK, rules
from tests.watch.traffic import busy_server, crew_families, told

ROOT = RUNBOOK.parents[1]
PARTS = ["What it means.", "What users notice.", "How to look.", "What to do."]

# Of the machine: what a Debian with this server has.
TOOLS = {
    "curl",
    "df",
    "free",
    "grep",
    "journalctl",
    "redis-cli",
    "ss",
    "systemctl",
    "top",
    "uptime",
}


def sections() -> dict[str, str]:
    """The text of each section, by its heading."""
    _, *found = re.split(r"^## ", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    return {text.partition("\n")[0]: text.partition("\n")[2] for text in found}


def commands(text: str) -> list[str]:
    """Each command of the blocks to type in."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.split("\n") if line]


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    assert list(sections()) == [rule["alert"] for rule in rules()]


@pytest.mark.parametrize("name", [rule["alert"] for rule in rules()])
def test_a_section_says_what_it_is_what_is_noticed_how_to_look_and_what_to_do(name: str) -> None:
    text = sections()[name]
    assert re.findall(r"^\*\*(.*?)\*\*", text, re.MULTILINE) == PARTS
    assert commands(text)


def test_links_lead_to_sections() -> None:
    linked = set(re.findall(r"\]\(#(\w+)\)", RUNBOOK.read_text("utf-8")))
    assert linked
    assert linked <= {name.lower() for name in sections()}


def test_every_command_exists() -> None:
    for command in commands(RUNBOOK.read_text("utf-8")):
        for part in command.split(" | "):
            program, *arguments = shlex.split(part)
            if program == "chuk":
                command_line().parse_args(arguments)
            else:
                assert program in TOOLS, command


def test_commands_within_the_text_exist_too() -> None:
    for quoted in re.findall(r"`((?:chuk|scripts/\w+)(?: [^`]*)?)`", RUNBOOK.read_text("utf-8")):
        program, *arguments = shlex.split(quoted)
        if program == "chuk" and arguments:
            command_line().parse_args(arguments)
        elif program != "chuk":
            assert (ROOT / program).is_file(), quoted


def test_a_command_that_is_not_there_would_be_found() -> None:
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        command_line().parse_args(["ledger", "prove"])


def test_every_setting_it_names_exists() -> None:
    known = {setting.env for setting in describe()}
    named = set(re.findall(r"`([A-Z][A-Z0-9_]*_[A-Z0-9_]+)`", RUNBOOK.read_text("utf-8")))
    codes = {name for name in named if (ROOT / "chuk/errors.py").read_text("utf-8").count(name)}
    assert "CHUK_METRICS_PORT" in named
    assert named - codes <= known


async def test_every_look_at_the_metrics_finds_something(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with busy_server(tmp_path, redis_server) as server:
        text = (await told(server)).encode()
    crew, _ = await exposition(await crew_families(), "")
    looks = [each for each in commands(RUNBOOK.read_text("utf-8")) if "9464/metrics" in each]
    assert len(looks) >= len(rules())
    blind = []
    for look in looks:
        _, grep = look.split(" | ", 1)
        asked = await asyncio.create_subprocess_exec(
            *shlex.split(grep), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        found, _ = await asked.communicate(text + crew)
        if not found:
            blind.append(look)
    assert blind == []
