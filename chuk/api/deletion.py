"""`DELETE /v1/user/delete-account`: erases the account of whoever asks."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import Schema, fields

from chuk.api.keys import DELETIONS
from chuk.errors import Forbidden, ServiceUnavailable
from chuk.web.keys import PRINCIPAL
from chuk.web.routes import Route


class AccountDeleted(Schema):
    """The account is locked for good. `pending`: what is still being erased in the background."""

    deleted = fields.Bool(required=True)
    pending = fields.List(fields.Str(), required=True)


async def delete_account(request: web.Request) -> dict[str, Any]:
    """Lock the account, record its deletion, and say what is left to do.

    Always 200 once that is recorded: clients take every other status for a failure.
    """
    pending = await request.config_dict[DELETIONS].request(request[PRINCIPAL].user_id)
    return {"deleted": True, "pending": pending}


ROUTE = Route(
    "DELETE",
    "/delete-account",
    delete_account,
    "Erase the account and end its subscription",
    "user",
    response=AccountDeleted,
    errors=(Forbidden, ServiceUnavailable),
    # Asking again is answered as the first time.
    allows_locked=True,
)
