"""The storage service of a project: files in buckets, under the rights of the request's role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.fakes.supabase_rest import Claims, Rest

_LONGEST_PAGE = 1000
_MOST_REMOVED = 1000


class Storage:
    """Its files are the rows of `storage.objects`.

    Attributes:
        removals: how many names each request to remove had.
        listings: how many entries each request to list was answered with.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.removals: list[int] = []
        self.listings: list[int] = []

    async def put(self, bucket: str, *names: str) -> None:
        """Files, as a user's app would have put them there."""
        async with self._rest.acting_as({"role": "service_role"}) as connection:
            cursor = connection.cursor()
            await cursor.executemany(
                "insert into storage.objects (bucket_id, name) values (%s, %s)",
                [(bucket, name) for name in names],
            )

    async def names(self, bucket: str) -> list[str]:
        """All files of a bucket."""
        async with self._rest.acting_as({"role": "service_role"}) as connection:
            cursor = await connection.execute(
                "select name from storage.objects where bucket_id = %s order by name", (bucket,)
            )
            return [name for (name,) in await cursor.fetchall()]

    async def list(self, claims: Claims, bucket: str, body: Mapping[str, Any]) -> web.Response:
        """One level below a prefix: files with their ids, folders without, by name, paged."""
        prefix = str(body.get("prefix") or "").strip("/")
        prefix = f"{prefix}/" if prefix else ""
        limit, offset = int(body.get("limit") or 100), int(body.get("offset") or 0)
        if limit > _LONGEST_PAGE:
            return _refusal(400, "InvalidRequest", "limit")
        async with self._rest.acting_as(claims) as connection:
            cursor = await connection.execute(
                "select distinct on (part) part, case when is_file then id end from ("
                " select id, split_part(substr(name, length(%(prefix)s) + 1), '/', 1) as part,"
                " strpos(substr(name, length(%(prefix)s) + 1), '/') = 0 as is_file"
                " from storage.objects"
                " where bucket_id = %(bucket)s and starts_with(name, %(prefix)s)"
                ") level order by part, is_file limit %(limit)s offset %(offset)s",
                {"prefix": prefix, "bucket": bucket, "limit": limit, "offset": offset},
            )
            rows = await cursor.fetchall()
        self.listings.append(len(rows))
        return web.json_response(
            [{"name": name, "id": None if found is None else str(found)} for name, found in rows]
        )

    async def remove(self, claims: Claims, bucket: str, body: Mapping[str, Any]) -> web.Response:
        """Files by their whole names; answers with those that were there."""
        names = body["prefixes"]
        if not 0 < len(names) <= _MOST_REMOVED:
            return _refusal(400, "InvalidRequest", "prefixes")
        self.removals.append(len(names))
        async with self._rest.acting_as(claims) as connection:
            cursor = await connection.execute(
                "delete from storage.objects where bucket_id = %s and name = any (%s)"
                " returning name",
                (bucket, names),
            )
            rows = await cursor.fetchall()
        return web.json_response([{"bucket_id": bucket, "name": name} for (name,) in rows])


def _refusal(status: int, error: str, message: str) -> web.Response:
    body = {"statusCode": str(status), "error": error, "message": message}
    return web.json_response(body, status=status)
