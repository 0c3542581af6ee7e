"""A Supabase project: its keys for tokens, and the state of its database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiohttp

from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn
from chuk.errors import ServiceUnavailable

_TOKENS, _BOOKS = "token keys", "project"
_KEY_SET = "/auth/v1/.well-known/jwks.json"
_ALGORITHMS = frozenset({"ES256", "RS256"})
_LISTENED_TO = "public.user_billing"
_MIGRATE = "SUPABASE_DB_URL=postgresql://… chuk migrate"


async def look(examined: Examined) -> list[Finding]:
    """Ask it."""
    supabase = examined.settings.supabase
    if not supabase.url:
        return [ok(_BOOKS, "none: SUPABASE_URL is not set")]
    findings = [await _keys(examined.session, supabase.url, bool(supabase.jwt_secret))]
    if not supabase.service_role_key:
        says = "it signs people in; the books are in SQLite (SUPABASE_SERVICE_ROLE_KEY is not set)"
        return [*findings, ok(_BOOKS, says)]
    return [*findings, *await _database(supabase.url, supabase.service_role_key, supabase.timeout)]


async def _keys(session: aiohttp.ClientSession, url: str, has_secret: bool) -> Finding:
    advice = "Look at SUPABASE_URL, and whether the project is paused."
    try:
        async with session.get(f"{url.rstrip('/')}{_KEY_SET}") as answer:
            answer.raise_for_status()
            document: Any = await answer.json(content_type=None)
        return judge_keys([str(each.get("alg")) for each in document["keys"]], has_secret)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return fail(_TOKENS, f"they cannot be had: {type(error).__name__}", advice)
    except (ValueError, TypeError, LookupError, AttributeError):
        return fail(_TOKENS, "the project answers with something that is no key set", advice)


def judge_keys(algorithms: list[str], has_secret: bool) -> Finding:
    """Whether tokens can be checked by keys of these kinds, or by the shared secret."""
    usable = sorted(_ALGORITHMS.intersection(algorithms))
    if usable:
        return ok(_TOKENS, f"{len(algorithms)} key(s), of {', '.join(usable)}")
    if has_secret:
        advice = "Move the project on to signing keys (ES256): a shared secret cannot be replaced."
        return warn(_TOKENS, "tokens are checked by the legacy shared secret alone", advice)
    says = "the project publishes no key of ES256 or RS256: no token is accepted"
    return fail(_TOKENS, says, "Make a signing key in the project, or set SUPABASE_JWT_SECRET.")


async def _database(url: str, key: str, timeout: float) -> list[Finding]:
    # Here, so that a server without a project does not pay for loading supabase-py.
    from chuk.adapters.supabase.condition import (  # noqa: PLC0415
        NotAllowed,
        NotMigrated,
        condition,
    )

    try:
        found = await condition(url, key, timeout)
    except NotMigrated:
        return [fail(_BOOKS, "the database is not migrated", _MIGRATE)]
    except NotAllowed:
        says = "SUPABASE_SERVICE_ROLE_KEY is refused, or is not the service role's"
        return [fail(_BOOKS, says, "Take the project's service_role (or secret) key.")]
    except ServiceUnavailable as error:
        says = f"the database does not answer: {error.message}"
        return [fail(_BOOKS, says, "Look whether the project is paused.")]
    problems = list(judge(found.missing, found.unguarded, found.published, found.open_buckets))
    if problems:
        return problems
    return [ok(_BOOKS, "migrated, guarded by row-level security, and changes are published")]


def judge(
    missing: list[str], unguarded: list[str], published: list[str], open_buckets: list[str]
) -> Iterator[Finding]:
    """What is wrong with a database that answers. See `Condition`."""
    if missing:
        yield fail(_BOOKS, f"migrations are missing: {', '.join(missing)}", _MIGRATE)
    if unguarded:
        says = f"row-level security is off for {', '.join(unguarded)}: strangers may read it"
        yield fail(_BOOKS, says, "alter table … enable row level security; for each, at once.")
    if _LISTENED_TO not in published:
        says = f"{_LISTENED_TO} is not in the publication supabase_realtime: apps show old credits"
        advice = f"alter publication supabase_realtime add table {_LISTENED_TO};"
        yield warn(_BOOKS, says, advice)
    if open_buckets:
        says = f"anybody may read the files in {', '.join(open_buckets)}"
        yield fail(_BOOKS, says, "Make these buckets private, at once.")
