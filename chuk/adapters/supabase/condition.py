"""What state a project's database is in, as it says itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from postgrest import APIError

from chuk.adapters.supabase.client import SupabaseProject
from chuk.adapters.supabase.migrations import migration_files
from chuk.errors import ServiceUnavailable

# PostgREST knows no such function, or does not let this role call it.
_UNKNOWN, _FORBIDDEN = "PGRST202", "42501"


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found.

    Attributes:
        missing: migrations that this program knows and the database has not.
        unguarded: tables without row-level security.
        published: tables whose changes clients may listen to.
        open_buckets: folders of files that anybody may read.
    """

    missing: list[str]
    unguarded: list[str]
    published: list[str]
    open_buckets: list[str]


class NotMigrated(Exception):
    """The database does not know the question: migrations are missing."""


class NotAllowed(Exception):
    """The key is not the service role's."""


async def condition(url: str, service_role_key: str, timeout: float) -> Condition:
    """Ask the project.

    Raises:
        NotMigrated, NotAllowed: as they say.
        ServiceUnavailable: it does not answer, or not with what was asked for.
    """
    project = SupabaseProject(url, service_role_key, timeout=timeout)
    try:
        async with project.reaching():
            answer = await project.client.rpc("chuk_condition", {}).execute()
        data: Any = answer.data
        found = {name: [str(each) for each in rows] for name, rows in data.items()}
        migrations = found.pop("migrations")
        known = [file.name.removesuffix(".sql") for file in migration_files()]
        return Condition(missing=[name for name in known if name not in migrations], **found)
    except APIError as error:
        if error.code == _UNKNOWN:
            raise NotMigrated from None
        if error.code in (_FORBIDDEN, str(httpx.codes.UNAUTHORIZED), str(httpx.codes.FORBIDDEN)):
            raise NotAllowed from None
        raise ServiceUnavailable(f"The database answers {error.code}.") from None
    except (TypeError, ValueError, LookupError, AttributeError):
        raise ServiceUnavailable("The database answers with something else.") from None
    finally:
        await project.close()
