"""A stateful stand-in for a whole Supabase project, on a real Postgres.

    async with FakeSupabaseProject() as project:
        ...  # project.url and project.service_role_key are what an operator would set
        await project.database.run("select ...")  # as the superuser
        project.fail("down")

It speaks the parts of PostgREST, GoTrue's admin API and the storage service that are used here,
and runs every query under the role of the request's key or token, so that policies and grants
hold as they do in a project. Besides, it is the sign-in of `FakeSupabaseAuth`.

https://docs.postgrest.org/en/stable/references/api.html
https://supabase.com/docs/guides/storage
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

import jwt
import orjson
import psycopg
from aiohttp import web

from tests.fakes.supabase_auth import SECRET, FakeSupabaseAuth
from tests.fakes.supabase_postgres import TestDatabase, fresh_database
from tests.fakes.supabase_rest import Claims, Rest, error_answer
from tests.fakes.supabase_storage import Storage

Fault = Literal["down", "slow", "error", "nonsense", "empty", "lost"]


class FakeSupabaseProject(FakeSupabaseAuth):
    """The project.

    Args:
        database: instead of a fresh one with all migrations; the caller drops it.

    Attributes:
        calls: paths that were asked for, in order, faults included.
        delete_batches: how many names each request to remove files had.
    """

    service_role_key = "service-role-key-of-a-fake-project"
    anon_key = "anon-key-of-a-fake-project"

    def __init__(self, database: TestDatabase | None = None) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._given = database
        self._rest: Rest | None = None
        self._storage: Storage | None = None
        self._database: TestDatabase | None = None
        self._fault: tuple[Fault, str, int] | None = None

    @property
    def database(self) -> TestDatabase:
        """Its Postgres."""
        assert self._database is not None
        return self._database

    @property
    def rest(self) -> Rest:
        """Its PostgREST."""
        assert self._rest is not None
        return self._rest

    @property
    def storage(self) -> Storage:
        """Its storage service."""
        assert self._storage is not None
        return self._storage

    def fail(self, fault: Fault, path: str = "/", times: int = 1_000_000) -> None:
        """Fail the next requests whose path begins so.

        Args:
            fault: `down` closes the connection; `slow` answers nothing until `heal`; `error` is
                an answer 500; `nonsense` a page of HTML with 200, `empty` one without a body;
                `lost` does what is asked and then closes the connection without an answer.
        """
        self.release.clear()
        self._fault = (fault, path, times)

    def heal(self) -> None:
        """No more faults; what hangs is let go."""
        self._fault = None
        self.release.set()

    async def add_user(self, user_id: UUID, email: str = "somebody@example.org") -> None:
        """Somebody signs up."""
        await self.database.run(
            "insert into auth.users (id, email) values (%s, %s)", user_id, email
        )

    def user_token(self, user_id: UUID) -> str:
        """What the app of this user sends."""
        return self.legacy_token(sub=str(user_id))

    async def __aenter__(self) -> Self:
        self._database = self._given or await fresh_database()
        self._rest = Rest(self._database)
        self._storage = Storage(self._rest)
        return await super().__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self.rest.close()
        if self._given is None:
            await self.database.drop()

    def _application(self) -> web.Application:
        app = super()._application()
        app.middlewares.append(self._faulty)
        app.router.add_post("/rest/v1/rpc/{function}", self._rpc)
        app.router.add_get("/rest/v1/{table}", self._select)
        app.router.add_post("/rest/v1/{table}", self._insert)
        app.router.add_patch("/rest/v1/{table}", self._update)
        app.router.add_delete("/rest/v1/{table}", self._delete)
        app.router.add_delete("/auth/v1/admin/users/{id}", self._delete_user)
        app.router.add_post("/storage/v1/object/list/{bucket}", self._list_files)
        app.router.add_delete("/storage/v1/object/{bucket}", self._remove_files)
        return app

    @web.middleware
    async def _faulty(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.calls.append(request.path)
        fault = self._next_fault(request.path)
        if fault in ("slow", "down"):
            if fault == "slow":
                await self.release.wait()
            return _cut(request)
        if fault == "error":
            return error_answer(500, "XX000", "something broke")
        if fault == "nonsense":
            return web.Response(text="<html>Welcome</html>", content_type="text/html")
        if fault == "empty":
            return web.Response(content_type="application/json")
        try:
            answer = await handler(request)  # type: ignore[operator]
        except psycopg.Error as error:
            answer = self.rest.refusal(error, self._claims(request))
        except web.HTTPException:
            raise
        if fault == "lost":
            return _cut(request)
        assert isinstance(answer, web.StreamResponse)
        return answer

    def _next_fault(self, path: str) -> Fault | None:
        if self._fault is None:
            return None
        fault, prefix, left = self._fault
        if not path.startswith(prefix):
            return None
        self._fault = (fault, prefix, left - 1) if left > 1 else None
        return fault

    def _claims(self, request: web.Request) -> Claims:
        """Whom the request speaks for, as the project's gateway decides it."""
        if request.headers.get("apikey") not in (self.service_role_key, self.anon_key):
            raise web.HTTPUnauthorized(text="No API key found in request")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == self.service_role_key:
            return {"role": "service_role"}
        if token in ("", self.anon_key):
            return {"role": "anon"}
        try:
            header = jwt.get_unverified_header(token)
            signer = self.keys.get(str(header.get("kid")))
            key = SECRET if signer is None else signer.private.public_key()
            algorithm = "HS256" if signer is None else signer.algorithm
            return dict(jwt.decode(token, key, [algorithm], audience="authenticated"))
        except jwt.InvalidTokenError:
            raise web.HTTPUnauthorized(text="JWT invalid") from None

    async def _rpc(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read() or b"{}")
        return await self.rest.call(self._claims(request), request.match_info["function"], body)

    async def _select(self, request: web.Request) -> web.Response:
        claims = self._claims(request)
        return await self.rest.select(claims, request.match_info["table"], request.query)

    async def _insert(self, request: web.Request) -> web.Response:
        claims, body = self._claims(request), orjson.loads(await request.read())
        return await self.rest.insert(claims, request.match_info["table"], body)

    async def _update(self, request: web.Request) -> web.Response:
        claims, body = self._claims(request), orjson.loads(await request.read())
        return await self.rest.update(claims, request.match_info["table"], body, request.query)

    async def _delete(self, request: web.Request) -> web.Response:
        claims = self._claims(request)
        return await self.rest.delete(claims, request.match_info["table"], request.query)

    async def _delete_user(self, request: web.Request) -> web.Response:
        if self._claims(request).get("role") != "service_role":
            return web.json_response({"code": "not_admin", "message": "not allowed"}, status=403)
        user_id = UUID(request.match_info["id"])
        found = await self.database.run("delete from auth.users where id = %s returning 1", user_id)
        if found:
            return web.json_response({})
        missing = {"code": "user_not_found", "message": "User not found"}
        return web.json_response(
            missing, status=404, headers={"X-Supabase-Api-Version": "2024-01-01"}
        )

    async def _list_files(self, request: web.Request) -> web.Response:
        claims, body = self._claims(request), orjson.loads(await request.read())
        return await self.storage.list(claims, request.match_info["bucket"], body)

    async def _remove_files(self, request: web.Request) -> web.Response:
        claims, body = self._claims(request), orjson.loads(await request.read())
        return await self.storage.remove(claims, request.match_info["bucket"], body)


def _cut(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise asyncio.CancelledError
