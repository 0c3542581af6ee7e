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

from chuk import __version__, logs
from chuk.accounts.issuer import DEFAULT_LIFETIME, DEFAULT_USER
from chuk.adapters.sqlite.schema import SchemaError
from chuk.app import embedded_issuer, hang_areas
from chuk.catalog.selection import SelectionError
from chuk.commands import billing, grant, ledger, migrate
from chuk.doctor import examine
from chuk.server import serve
from chuk.settings import Settings, SettingsError, load
from chuk.web.openapi import openapi_document

_LONGEST_LIFETIME = 315_360_000

Result = TypeVar("Result")
Command = Callable[[argparse.Namespace, Settings], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = load()
        code: int = options.command(options, settings)
        return code
    except (SettingsError, SelectionError) as error:
        print(f"chuk: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"chuk: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except SchemaError as error:
        print(f"chuk: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
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

    command = commands.add_parser(
        "doctor", help="say which service serves each part, and whether it answers"
    )
    command.set_defaults(command=_doctor)

    for module in (migrate, ledger, billing, grant):
        module.add(commands)
    return parser


def _lifetime(text: str) -> int:
    seconds = int(text)
    if abs(seconds) > _LONGEST_LIFETIME:
        raise argparse.ArgumentTypeError(f"must be at most {_LONGEST_LIFETIME} (ten years)")
    return seconds


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    log_format = settings.log.format or ("console" if sys.stderr.isatty() else "json")
    logs.configure(level=settings.log.level, json=log_format == "json", for_good=True)
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


def _doctor(_options: argparse.Namespace, settings: Settings) -> int:
    logs.configure(level="error", json=False)
    return 0 if _run(examine(settings)) else 1


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    return uvloop.run(work)
