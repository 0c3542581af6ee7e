"""`chuk doctor`: say what is well, what is not, and what to do about it."""

from __future__ import annotations

import argparse
from contextlib import aclosing
from dataclasses import asdict, replace

import orjson
import uvloop

from chuk import logs
from chuk.doctor import Discretion, Finding, Verdict, examine, examine_deeply, worst
from chuk.settings import Settings

_MARKS = {Verdict.OK: "ok  ", Verdict.WARN: "WARN", Verdict.FAIL: "FAIL"}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser(
        "doctor", help="say which service serves each part, and whether it answers"
    )
    command.add_argument(
        "--deep",
        action="store_true",
        help="look also at the machine, the certificates, the public address, the services' "
        "settings and the files; best beside the running server",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.set_defaults(command=_doctor)


def _doctor(options: argparse.Namespace, settings: Settings) -> int:
    logs.configure(level="error", json=False)
    return uvloop.run(_look(settings, deep=options.deep, as_json=options.json))


async def _look(settings: Settings, *, deep: bool, as_json: bool) -> int:
    discreet = Discretion(settings)
    found: list[Finding] = []

    def take(finding: Finding) -> None:
        finding = replace(finding, says=discreet(finding.says), advice=discreet(finding.advice))
        found.append(finding)
        if not as_json:
            _print(finding)

    async with aclosing(examine(settings)) as parts:
        async for finding in parts:
            take(finding)
    if deep:
        for finding in await examine_deeply(settings):
            take(finding)
    verdict = worst(found)
    if as_json:
        body = {"verdict": verdict, "findings": [asdict(each) for each in found]}
        print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
    return 1 if verdict is Verdict.FAIL else 0


def _print(finding: Finding) -> None:
    print(f"{_MARKS[finding.verdict]} {finding.name:<14} {finding.says}", flush=True)
    if finding.advice:
        print(f"     {'':<14} -> {finding.advice}", flush=True)
