"""The pages for people, as files: who gets them, what they may do, what they are made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from setuptools import Distribution
from yarl import URL

from chuk.api.console import content_policy, is_console_on, pictures_of
from chuk.console import assets_of
from chuk.settings import Settings, load
from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.raw_http import raw_connection, request_bytes

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "chuk/console"
_LONGEST = 400
# A style sheet is read by its sections, one after the other.
_LONGEST_STYLES = 1_000


async def fetched(server: RunningServer, path: str, **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of a page."""
    async with server.client.get(f"{server.url}{path}", headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers


@pytest.mark.parametrize("page", ["console", "docs"])
async def test_a_page_and_all_its_files_are_served(server: RunningServer, page: str) -> None:
    status, body, headers = await fetched(server, f"/{page}")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    names = re.findall(rf'(?:src|href)="/{page}/([^"]+)"', body.decode())
    assert {"main.js", "theme.js", "base.css", f"{page}.css", "icon.svg"} <= set(names)
    for name, asset in assets_of(page).items():
        status, body, headers = await fetched(server, f"/{page}/{name}")
        assert (status, body) == (200, asset.body)
        assert headers["Content-Type"].startswith(asset.media_type)
        # Every module that a module asks for is there too.
        for other in re.findall(r'from "\./([^"]+)"', body.decode()):
            assert other in assets_of(page), (name, other)


@pytest.mark.parametrize("path", ["/console", "/docs", "/console/main.js", "/docs/base.css"])
async def test_a_page_may_load_and_do_only_what_comes_from_here(
    server: RunningServer, path: str
) -> None:
    _, _, headers = await fetched(server, path)
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        # Pictures that somebody attaches are shown before they are sent.
        "img-src": "'self' data:" if path.startswith("/console") else "'self'",
        "media-src": "'self' blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Set-Cookie" not in headers


def test_pictures_may_also_come_from_the_public_address() -> None:
    policy = content_policy(pictures_of("https://api.example/chat"))
    assert "img-src 'self' data: https://api.example;" in policy
    assert policy.count("https://api.example") == 1


async def test_a_page_is_sent_again_only_when_it_has_changed(server: RunningServer) -> None:
    _, _, headers = await fetched(server, "/console/main.js")
    tag = headers["ETag"]
    assert headers["Cache-Control"] == "no-cache"
    status, body, headers = await fetched(server, "/console/main.js", **{"If-None-Match": tag})
    assert (status, body, headers["ETag"]) == (304, b"", tag)
    assert headers["Content-Security-Policy"]
    status, body, _ = await fetched(server, "/console/main.js", **{"If-None-Match": '"other"'})
    assert status == 200 and body


@pytest.mark.parametrize(
    "path",
    [
        "/console/nothing.js",
        "/console/__init__.py",
        "/console/..%2f__init__.py",
        "/console/%2e%2e/__init__.py",
        "/console/%2e%2e%2f%2e%2e%2fserver.py",
        "/console/..%5c__init__.py",
        "/console/main.js%00.html",
        "/console/",
        "/docs/console.css",
        "/docs//etc/passwd",
    ],
)
async def test_nothing_else_is_served(server: RunningServer, path: str) -> None:
    async with server.client.get(URL(server.url + path, encoded=True)) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "NOT_FOUND"


async def test_not_even_to_whoever_climbs_by_hand(server: RunningServer) -> None:
    async with raw_connection(server.url) as connection:
        await connection.send(request_bytes("GET", "/docs/../../server.py"))
        assert (await connection.answer()).status == 404


async def test_the_console_can_be_switched_off_and_the_reference_stays(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_CONSOLE="off") as server:
        for path in ("/console", "/console/main.js"):
            status, _, headers = await fetched(server, path)
            assert status == 404
            assert headers["Content-Type"].startswith("application/json")
        assert (await fetched(server, "/docs"))[0] == 200
        _, document, _ = await fetched(server, "/openapi.json")
        assert b'"/console"' not in document


@pytest.mark.parametrize(
    ("environ", "is_on"),
    [
        ({}, True),
        ({"CHUK_HOST": "::1"}, True),
        ({"CHUK_HOST": "localhost"}, True),
        ({"CHUK_PUBLIC_URL": "http://127.0.0.1:8080"}, True),
        ({"CHUK_HOST": "0.0.0.0"}, False),
        ({"CHUK_HOST": "api.example"}, False),
        ({"SUPABASE_URL": "https://project.example"}, False),
        ({"CHUK_TRUSTED_PROXIES": "127.0.0.1"}, False),
        ({"CHUK_PUBLIC_URL": "https://api.example"}, False),
        ({"CHUK_CONSOLE": "off"}, False),
        ({"CHUK_CONSOLE": "on", "CHUK_HOST": "0.0.0.0"}, True),
    ],
)
def test_by_itself_it_is_on_only_for_this_machine(
    environ: dict[str, str], is_on: bool, tmp_path: Path
) -> None:
    settings: Settings = load(environ, directory=tmp_path)
    assert is_console_on(settings) is is_on


async def test_by_itself_it_hides_from_whoever_comes_through_a_proxy_or_by_another_name(
    start_server: StartServer,
) -> None:
    outside = [{"Host": "api.example"}, {"X-Forwarded-For": "203.0.113.7"}, {"Host": "[::1"}]
    async with start_server() as server:
        for headers in outside:
            assert (await fetched(server, "/console", **headers))[0] != 200
        assert (await fetched(server, "/console", Host="localhost:1"))[0] == 200
    async with start_server(CHUK_CONSOLE="on") as server:
        assert (await fetched(server, "/console", Host="api.example"))[0] == 200


@pytest.mark.parametrize(
    ("host", "is_let_in"),
    [("127.0.0.1", True), ("localhost", True), ("203.0.113.7", True), ("evil.example", False)],
)
async def test_the_page_may_open_a_socket_to_where_it_came_from(
    server: RunningServer, host: str, is_let_in: bool
) -> None:
    headers = {
        "Host": host,
        "Origin": f"http://{host}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    }
    async with server.client.get(f"{server.url}/v1/ai/chat/ws", headers=headers) as answer:
        assert answer.status == (101 if is_let_in else 403)


async def test_pages_do_not_use_up_anybodys_limit(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="2") as server:
        for _ in range(5):
            assert (await fetched(server, "/docs/base.css"))[0] == 200


def test_an_installation_has_all_the_files_of_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    distribution = Distribution()
    distribution.parse_config_files(["setup.cfg"])
    command: Any = distribution.get_command_obj("build_py")
    command.ensure_finalized()
    installed = {
        str(Path(folder, name)) for _, folder, _, names in command.data_files for name in names
    }
    wanted = {
        str(path.relative_to(ROOT))
        for path in PAGES.rglob("*")
        if path.is_file() and path.suffix in (".html", ".css", ".js", ".svg")
    }
    assert len(wanted) > 20
    assert wanted <= installed


def files(pattern: str) -> list[Path]:
    """Files of the pages."""
    return sorted(PAGES.rglob(pattern))


def test_nothing_of_a_page_comes_from_elsewhere_or_stands_in_the_page_itself() -> None:
    for path in [*files("*.html"), *files("*.css"), *files("*.js")]:
        text = path.read_text("utf-8")
        foreign = re.findall(r"""(?:src|href|url|import|from|fetch)\s*[=(]?\s*["']?https?:""", text)
        assert foreign == [], path.name
    for path in files("*.html"):
        text = path.read_text("utf-8")
        assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son\w+=", text) == []


def test_no_text_can_become_markup_or_script() -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    for path in files("*.js"):
        assert re.findall(ways, path.read_text("utf-8")) == [], path.name


def test_the_token_is_kept_in_one_place_that_does_not_last() -> None:
    keeping = [path.name for path in files("*.js") if "sessionStorage" in path.read_text("utf-8")]
    # What a reload needs of a running answer is kept so too, and no longer than it runs.
    assert keeping == ["running.js", "token.js"]
    assert "token" not in (PAGES / "console/running.js").read_text("utf-8")
    lasting = [path.name for path in files("*.js") if "localStorage" in path.read_text("utf-8")]
    assert lasting == ["theme.js"]


def test_no_file_of_a_page_is_too_long_to_be_read_in_one_go() -> None:
    for path in [*files("*.js"), *files("*.html")]:
        assert len(path.read_text("utf-8").splitlines()) <= _LONGEST, path.name
    for path in files("*.css"):
        assert len(path.read_text("utf-8").splitlines()) <= _LONGEST_STYLES, path.name
