"""docs/privacy.md tells of everything that is kept, and of nothing that is not."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

import aiohttp

from chuk.adapters.sqlite.schema import migrate
from chuk.clock import utc_now
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.fakes.supabase_postgres import fresh_database
from tests.harness import MODEL, RunningServer
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/privacy.md").read_text("utf-8")
QUOTED = re.compile(r"`([^`]+)`")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log", "bind"}
SAID = "a lighthouse that nobody has ever seen"


def rows(part: str) -> Iterator[list[str]]:
    """The cells of each row of the table that is compared under this name."""
    table = TEXT.split(f"<!-- compared: {part} -->\n")[1].split("<!-- end -->")[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def told(part: str) -> dict[str, list[str]]:
    """By table, the columns that the document names."""
    return {QUOTED.findall(row[0])[0]: QUOTED.findall(row[2]) for row in rows(part)}


def patterns(part: str) -> list[str]:
    return [QUOTED.findall(row[0])[0] for row in rows(part)]


def undocumented(names: set[str], known: list[str]) -> set[str]:
    return {name for name in names if not any(fnmatchcase(name, each) for each in known)}


def test_every_table_and_column_in_sqlite_is_told() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, utc_now)
        found = connection.execute(
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
            " WHERE m.type = 'table' ORDER BY m.name, c.cid"
        ).fetchall()
    tables: dict[str, list[str]] = {}
    for table, column in found:
        tables.setdefault(table, []).append(column)
    assert told("sqlite") == tables


async def test_every_table_and_column_in_postgres_is_told() -> None:
    database = await fresh_database()
    try:
        found = await database.run(
            "select table_schema || '.' || table_name, column_name from information_schema.columns"
            " where table_schema in ('chuk', 'public') order by 1, ordinal_position"
        )
    finally:
        await database.drop()
    tables: dict[str, list[str]] = {}
    for table, column in found:
        tables.setdefault(table, []).append(column)
    assert told("postgres") == tables


async def live_a_little(server: RunningServer) -> None:
    """Ask for what leaves something behind: answers, a picture, results of keyed requests."""
    await server.chat(SAID)
    for path, body in (
        ("chat", {"model_id": MODEL, "message": SAID}),
        ("generate-image", {"prompt": SAID, "custom_width": 64, "custom_height": 64}),
    ):
        async with server.client.post(
            f"{server.url}/v1/ai/{path}",
            json=body,
            headers={**server.bearer(), "Idempotency-Key": path},
        ) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
    form = aiohttp.FormData()
    form.add_field("file", SAID.encode(), filename="note.txt")
    async with server.client.post(
        f"{server.url}/v1/ai/convert-file", data=form, headers=server.bearer()
    ) as answer:
        assert SAID in await answer.text()


async def test_every_key_in_redis_is_told_and_none_says_what_somebody_wrote(
    start_server: StartServer, openrouter: FakeOpenRouter, redis_server: RedisServer
) -> None:
    openrouter.script(*(Reply(content=[SAID]) for _ in range(2)))
    async with start_server(REDIS_URL=redis_server.url) as server:
        await live_a_little(server)
    with redis_server.client() as client:
        names = {name.decode() for name in client.scan_iter("*")}
        kept = b"".join(client.dump(name) or b"" for name in names)
    assert {"chuk:stream", "chuk:outcome", "chuk:picture", "chuk:limit"} <= {
        ":".join(name.split(":")[:2]) for name in names
    }
    assert undocumented(names, patterns("redis")) == set()
    assert SAID.encode() not in kept


def test_every_name_of_a_key_in_the_code_is_told() -> None:
    named = {
        name.rstrip(":") + (":x" if name.endswith(":") else "")
        for file in (ROOT / "chuk").rglob("*.py")
        for name in re.findall(r"[\"'](chuk:[a-z:-]+)", file.read_text("utf-8"))
    }
    assert named
    assert undocumented(named, patterns("redis")) == set()
    assert [
        each for each in patterns("redis") if not any(fnmatchcase(n, each) for n in named)
    ] == []


async def test_every_file_in_the_data_folder_is_told_and_none_says_what_somebody_wrote(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(*(Reply(content=[SAID]) for _ in range(2)))
    async with start_server() as server:
        await live_a_little(server)
        folder = server.settings.server.data_dir
        files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {"chuk.sqlite3", "idempotency.sqlite3", "catalog.json"} <= files
    assert undocumented(files, patterns("files")) == set()
    for file in folder.rglob("*"):
        assert file.is_dir() or SAID.encode() not in file.read_bytes(), file


def fields_logged() -> set[str]:
    """Every name under which a line of the log carries something, from the code."""
    found: set[str] = set()
    for file in (ROOT / "chuk").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _logs(node.func):
                found |= {each.arg for each in node.keywords if each.arg is not None}
    return found


def _logs(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in LEVELS and "log" in ast.unparse(function.value).lower()
    return isinstance(function, ast.Name) and function.id == "log_failure"


def test_every_field_of_the_log_is_told() -> None:
    named = [name for row in rows("log") for name in QUOTED.findall(row[0])]
    assert len(named) == len(set(named))
    assert fields_logged() - set(named) == set()
    # What a breaker is about is put together elsewhere.
    assert set(named) - fields_logged() - {"upstream", "provider", "model"} == set()
