"""PostgREST, as far as it is used here: functions, and plain reads and writes of tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import psycopg
from aiohttp import web
from psycopg import sql

from tests.fakes.supabase_postgres import TestDatabase

Claims = Mapping[str, Any]

_CONNECTIONS = 16
_NOT_FOUND = "PGRST202"

_PARAMETERS = """
select p.proargnames[:p.pronargs], array(
  select format_type(oid, null) from unnest(p.proargtypes) with ordinality as t (oid, place)
  order by place
)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'public' and p.proname = %s
"""


def error_answer(status: int, code: str, message: str, **more: object) -> web.Response:
    """An error as PostgREST words it."""
    body = {"code": code, "message": message, "details": None, "hint": None, **more}
    return web.json_response(body, status=status)


class Rest:
    """Runs each request as its role, in a transaction of its own."""

    def __init__(self, database: TestDatabase) -> None:
        self._database = database
        self._idle: list[psycopg.AsyncConnection[tuple[Any, ...]]] = []
        self._room = asyncio.Semaphore(_CONNECTIONS)
        self._signatures: dict[str, dict[str, str]] = {}

    async def close(self) -> None:
        """Close its connections."""
        for connection in self._idle:
            await connection.close()

    @asynccontextmanager
    async def acting_as(
        self, claims: Claims
    ) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
        """A transaction under the role that the claims name."""
        async with self._room:
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = await psycopg.AsyncConnection.connect(
                    self._database.url, autocommit=True
                )
            try:
                async with connection.transaction():
                    await connection.execute(
                        "select set_config('role', %s, true),"
                        " set_config('request.jwt.claims', %s, true)",
                        (claims["role"], orjson.dumps(claims).decode()),
                    )
                    yield connection
            except BaseException:
                if not connection.closed and connection.pgconn.transaction_status:
                    await connection.close()
                raise
            finally:
                if not connection.closed:
                    self._idle.append(connection)

    async def call(self, claims: Claims, function: str, body: Mapping[str, Any]) -> web.Response:
        """A function, its arguments by name."""
        types = await self._signature(function)
        if not types or not set(body) <= set(types):
            return error_answer(404, _NOT_FOUND, f"Could not find the function public.{function}")
        names = list(body)
        arguments = sql.SQL(", ").join(
            sql.SQL("{} => a.{}").format(sql.Identifier(name), sql.Identifier(name))
            for name in names
        )
        called = sql.SQL("select to_json(public.{}({}))::text").format(
            sql.Identifier(function), arguments
        )
        if names:
            columns = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(types[name]))  # type: ignore[arg-type]
                for name in names
            )
            called += sql.SQL(" from json_to_record(%s::json) as a ({})").format(columns)
        async with self.acting_as(claims) as connection:
            values = (orjson.dumps(body).decode(),) if names else None
            row = await (await connection.execute(called, values)).fetchone()
        answer = row[0] if row and row[0] is not None else "null"
        return web.Response(text=answer, content_type="application/json")

    async def select(self, claims: Claims, table: str, query: Mapping[str, str]) -> web.Response:
        """Rows; `select` names columns, every other parameter is `column=eq.value`."""
        wanted = query.get("select", "*").split(",")
        columns = sql.SQL(", ").join(
            sql.SQL("*") if name == "*" else sql.Identifier(name) for name in wanted
        )
        where, values = _where(query)
        statement = sql.SQL(
            "select coalesce(json_agg(t), '[]')::text from (select {} from public.{}{}) t"
        ).format(columns, sql.Identifier(table), where)
        return await self._rows(claims, statement, values)

    async def insert(self, claims: Claims, table: str, body: Mapping[str, Any]) -> web.Response:
        """One row."""
        columns = sql.SQL(", ").join(map(sql.Identifier, body))
        statement = sql.SQL(
            "insert into public.{} ({}) select {} from json_populate_record(null::public.{}, %s)"
        ).format(sql.Identifier(table), columns, columns, sql.Identifier(table))
        return await self._rows(claims, statement, [orjson.dumps(body).decode()], status=201)

    async def update(
        self, claims: Claims, table: str, body: Mapping[str, Any], query: Mapping[str, str]
    ) -> web.Response:
        """The same values for all rows that match."""
        changes = sql.SQL(", ").join(
            sql.SQL("{} = %s").format(sql.Identifier(name)) for name in body
        )
        where, values = _where(query)
        statement = sql.SQL("update public.{} set {}{}").format(
            sql.Identifier(table), changes, where
        )
        return await self._rows(claims, statement, [*body.values(), *values], status=204)

    async def delete(self, claims: Claims, table: str, query: Mapping[str, str]) -> web.Response:
        """All rows that match."""
        where, values = _where(query)
        statement = sql.SQL("delete from public.{}{}").format(sql.Identifier(table), where)
        return await self._rows(claims, statement, values, status=204)

    def refusal(self, error: psycopg.Error, claims: Claims) -> web.Response:
        """What a failed statement is answered with."""
        code = error.sqlstate or "XX000"
        status = {"42501": 403, "42P01": 404, "23505": 409}.get(code, 400)
        if status == 403 and claims["role"] == "anon":
            status = 401
        diagnosis = error.diag
        return error_answer(
            status,
            code,
            diagnosis.message_primary or "",
            details=diagnosis.message_detail,
            hint=diagnosis.message_hint,
        )

    async def _rows(
        self, claims: Claims, statement: sql.Composed, values: list[Any], status: int = 200
    ) -> web.Response:
        async with self.acting_as(claims) as connection:
            cursor = await connection.execute(statement, values or None)
            row = await cursor.fetchone() if cursor.description else None
        text = row[0] if row else None
        return web.Response(text=text, status=status, content_type="application/json")

    async def _signature(self, function: str) -> dict[str, str]:
        """The types of a function's arguments by name; empty for one that is not there."""
        if function not in self._signatures:
            rows = await self._database.run(_PARAMETERS, function)
            names, types = rows[0] if len(rows) == 1 else ([], [])
            self._signatures[function] = dict(zip(names or ["-"], types or ["-"], strict=True))
            if not rows:
                return self._signatures.pop(function) and {}
        return self._signatures[function]


def _where(query: Mapping[str, str]) -> tuple[sql.Composable, list[Any]]:
    conditions = [
        (name, value.removeprefix("eq.")) for name, value in query.items() if name != "select"
    ]
    if not conditions:
        return sql.SQL(""), []
    compared = sql.SQL(" and ").join(
        sql.SQL("{}::text = %s").format(sql.Identifier(name)) for name, _ in conditions
    )
    return sql.SQL(" where ") + compared, [value for _, value in conditions]
