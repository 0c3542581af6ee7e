"""The step of a deletion that removes a person's sign-in.

https://supabase.com/docs/reference/api (GoTrue's admin API)
"""

from __future__ import annotations

from uuid import UUID

from supabase import AuthError

from chuk.adapters.supabase.client import SupabaseProject
from chuk.errors import ServiceUnavailable
from chuk.logs import logger

_NOT_FOUND = 404

_log = logger("supabase")


class SupabaseSignIn:
    """Deletes the auth user. One who is not there any more is deleted."""

    name = "sign_in"

    def __init__(self, project: SupabaseProject) -> None:
        self._project = project

    async def run(self, user_id: UUID) -> None:
        """Delete the user for good.

        Raises:
            ServiceUnavailable: the sign-in service does not answer, or refuses.
        """
        try:
            async with self._project.reaching():
                await self._project.client.auth.admin.delete_user(str(user_id))
        except AuthError as error:
            status = getattr(error, "status", None)
            if status == _NOT_FOUND and error.code == "user_not_found":
                return
            _log.warning("sign_in_not_deleted", error=type(error).__name__, status=status)
            raise ServiceUnavailable from None
