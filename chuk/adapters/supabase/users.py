"""The step of a deletion that removes a person's sign-in.

https://supabase.com/docs/reference/python/auth-admin-deleteuser
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
        """Delete the user for good, and ask again until the service knows nobody of this id.

        Raises:
            ServiceUnavailable: the sign-in service does not answer, or refuses.
        """
        # Any page answered with 200 would look like success: only `user_not_found` proves it.
        for _ in range(2):
            if await self._is_gone(user_id):
                return
        raise ServiceUnavailable

    async def _is_gone(self, user_id: UUID) -> bool:
        """Ask for the deletion; whether there was nobody to delete."""
        try:
            async with self._project.reaching():
                await self._project.client.auth.admin.delete_user(str(user_id))
        except AuthError as error:
            if getattr(error, "status", None) == _NOT_FOUND and error.code == "user_not_found":
                return True
            _log.warning(
                "sign_in_not_deleted",
                error=type(error).__name__,
                status=getattr(error, "status", None),
            )
            raise ServiceUnavailable from None
        return False
