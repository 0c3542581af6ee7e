"""Personal API keys, in a Supabase project's Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chuk.accounts.ports import ApiKey
from chuk.accounts.principal import Scope
from chuk.adapters.supabase import answers
from chuk.adapters.supabase.client import SupabaseProject
from chuk.clock import Clock


class SupabaseApiKeys:
    """See `chuk.accounts.ports.ApiKeyStore`.

    Args:
        free_messages: what a purse starts with; keys hang on their owner's purse.
    """

    def __init__(self, project: SupabaseProject, *, free_messages: int, clock: Clock) -> None:
        self._project = project
        self._free_messages = free_messages
        self._clock = clock

    async def add(self, key: ApiKey, digest: bytes, *, most: int) -> bool:
        """See the port."""
        return await self._project.call(
            "add_api_key",
            answers.truth,
            id=key.id,
            user_id=key.user_id,
            digest=digest.hex(),
            name=key.name,
            last_four=key.last_four,
            scopes=" ".join(sorted(key.scopes)),
            monthly_budget=key.monthly_budget,
            expires_at=key.expires_at,
            most=most,
            now=key.created_at,
            free_messages=self._free_messages,
        )

    async def find(self, digest: bytes) -> ApiKey | None:
        """See the port."""
        return await self._project.call("find_api_key", answers.optional(_key), digest=digest.hex())

    async def of_user(self, user_id: UUID) -> Sequence[ApiKey]:
        """See the port."""
        return await self._project.call(
            "api_keys", answers.rows(_key), user_id=user_id, now=self._clock()
        )

    async def remove(self, user_id: UUID, key_id: UUID) -> bool:
        """See the port."""
        return await self._project.call("remove_api_key", answers.truth, user_id=user_id, id=key_id)

    async def note_use(self, key_id: UUID, moment: datetime) -> None:
        """See the port."""
        await self._project.call("note_api_key_use", answers.nothing, id=key_id, moment=moment)


def _key(answer: Any) -> ApiKey:
    row = answers.fields(answer)
    return ApiKey(
        id=UUID(answers.text(row["id"])),
        user_id=UUID(answers.text(row["user_id"])),
        name=answers.text(row["name"]),
        last_four=answers.text(row["last_four"]),
        scopes=frozenset(map(Scope, answers.text(row["scopes"]).split())),
        monthly_budget=answers.optional(answers.micro_euro)(row["monthly_budget"]),
        created_at=answers.moment(row["created_at"]),
        expires_at=answers.optional(answers.moment)(row["expires_at"]),
        last_used_at=answers.optional(answers.moment)(row["last_used_at"]),
        spent=answers.micro_euro(row["spent"]),
    )
