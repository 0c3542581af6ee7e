"""The commands. Exit codes: 0 done, 1 it failed, 2 the command or a setting is wrong."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import uvloop
from aiohttp import web

from chuk import __version__
from chuk.accounts.issuer import DEFAULT_LIFETIME, DEFAULT_USER
from chuk.app import embedded_issuer, hang_areas
from chuk.commands import backup, billing, doctor, grant, ledger, migrate
from chuk.complaints import EXPECTED, complaint
from chuk.server import serve, start_log
from chuk.settings import Settings, SettingsError, load
from chuk.supervision.supervisor import WorkersFailed, supervise
from chuk.web.openapi import openapi_document

_LONGEST_LIFETIME = 315_360_000
_MOST_WORKERS = 256

Result = TypeVar("Result")
Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = command_line().parse_args(arguments)
    try:
        settings = load()
        code: int = options.command(options, settings)
        return code
    except EXPECTED as error:
        code, sentence = complaint(error)
        print(f"chuk: {sentence}", file=sys.stderr)
        return code
    except WorkersFailed as error:
        print(f"chuk: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130


def command_line() -> argparse.ArgumentParser:
    """Every command and its options."""
    parser = argparse.ArgumentParser(
        prog="chuk",
        description="The backend of Chuk Chat. Settings come from the environment, .env and "
        "config/chuk.toml.",
    )
    parser.add_argument("--version", action="version", version=f"chuk {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="run the server until SIGTERM or SIGINT")
    command.add_argument(
        "--quickstart", action="store_true", help="print a token and a command to try"
    )
    command.add_argument(
        "--workers",
        type=_workers,
        metavar="NUMBER",
        help="processes that serve; more than one needs REDIS_URL (default: CHUK_WORKERS, or 1)",
    )
    command.set_defaults(command=_serve)

    command = commands.add_parser("token", help="print a bearer token of the embedded issuer")
    command.add_argument("--user", type=UUID, default=DEFAULT_USER, help="user id, a UUID")
    command.add_argument(
        "--ttl",
        type=_lifetime,
        default=int(DEFAULT_LIFETIME.total_seconds()),
        metavar="SECONDS",
        help="how long it is valid (default: a day)",
    )
    command.set_defaults(command=_token)

    command = commands.add_parser("openapi", help="print the OpenAPI 3.1 document")
    command.set_defaults(command=_openapi)

    for module in (doctor, migrate, ledger, billing, grant, backup):
        module.add(commands)
    return parser


def _lifetime(text: str) -> int:
    seconds = int(text)
    if abs(seconds) > _LONGEST_LIFETIME:
        raise argparse.ArgumentTypeError(f"must be at most {_LONGEST_LIFETIME} (ten years)")
    return seconds


def _workers(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_WORKERS}")
    return number


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    workers = options.workers or settings.server.workers
    if workers > 1 and not settings.redis.url:
        # Each would have limits and streams of its own, and nobody could say whose.
        source = "the settings" if options.workers is None else "the command line"
        problem = f"{workers} processes need REDIS_URL, which is not set"
        raise SettingsError("CHUK_WORKERS", problem, source)
    start_log(settings)
    if workers > 1:
        _run(supervise(settings, workers, quickstart=options.quickstart))
    else:
        _run(serve(settings, quickstart=options.quickstart))
    return 0


def _token(options: argparse.Namespace, settings: Settings) -> int:
    issuer = embedded_issuer(settings)
    if issuer is None:
        print("chuk: SUPABASE_URL is set, so its project issues the tokens", file=sys.stderr)
        return 1
    print(issuer.token(options.user, timedelta(seconds=options.ttl)))
    return 0


def _openapi(_options: argparse.Namespace, settings: Settings) -> int:
    routes = hang_areas(web.Application(), settings)
    print(json.dumps(openapi_document(routes), indent=2))
    return 0


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    return uvloop.run(work)
