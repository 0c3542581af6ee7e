"""API9:2023, improper inventory management: what is served is described, and nothing else is.

Each described operation is called in tests/api/test_schemathesis.py and test_openapi.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiohttp import web
from aiohttp.web_urldispatcher import PrefixedSubAppResource

from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.security.attacks import ask, operations

OLDER = [
    ("POST", "/v1/ai/edit-image"),
    ("GET", "/v1/tools/brave/search"),
    ("POST", "/v1/tools/crawl"),
    ("POST", "/v1/ai/completions"),
    ("POST", "/ai/chat"),
    ("POST", "/chat"),
    ("GET", "/models_info"),
    ("POST", "/api/v1/ai/chat"),
    ("POST", "/v0/ai/chat"),
    ("POST", "/v2/ai/chat"),
    ("GET", "/user/status"),
    ("POST", "/stripe/webhook"),
    ("POST", "/v1/stripe/webhook"),
    ("GET", "/v1/admin"),
    ("POST", "/v1/login"),
    ("POST", "/v1/token"),
]
# Of OpenAI's, those that are not served.
NOT_SERVED = ["completions", "moderations", "files", "batches", "assistants", "threads"]


def served(app: web.Application) -> Iterator[tuple[str, str]]:
    """Method and path of all that the application answers, through its sub-applications."""
    for resource in app.router.resources():
        if isinstance(resource, PrefixedSubAppResource):
            # Their paths begin with their prefix already.
            yield from served(resource._app)
        else:
            yield from ((route.method, resource.canonical) for route in resource)


@pytest.mark.parametrize("billing", [False, True])
async def test_every_route_that_is_served_is_described(
    start_server: StartServer, billing: bool
) -> None:
    names = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_PRICE_ID")
    async with start_server(
        STRIPE_API_BASE="http://127.0.0.1:9", **(dict.fromkeys(names, "x") if billing else {})
    ) as server:
        described = set(await operations(server))
        found = {
            (method, path.replace("{id:.+}", "{id}"))
            for method, path in served(server.app)
            # HEAD comes with GET.
            if method not in ("HEAD", "OPTIONS")
        }
        assert found == described


async def test_what_is_described_is_served(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_OTHER="1000", CHUK_LIMIT_ADDRESS="1000") as server:
        for method, path in await operations(server):
            filled = path.replace("{id}", "x").replace("{key_id}", "x").replace("{name}", "x")
            told = await ask(server, method, filled)
            assert told.status != 405, (method, path)


@pytest.mark.parametrize(("method", "path"), OLDER)
async def test_an_older_or_an_invented_address_is_a_404_that_can_be_read(
    server: RunningServer, method: str, path: str
) -> None:
    told = await ask(server, method, path, json={})
    assert (told.status, told.code) == (404, "NOT_FOUND")
    assert told.body["error"]["message"].endswith(".")
    signed_in = await ask(server, method, path, headers=server.bearer(), json={})
    assert signed_in.status == 404


@pytest.mark.parametrize("name", NOT_SERVED)
async def test_what_openai_has_besides_is_a_404_in_its_words(
    server: RunningServer, name: str
) -> None:
    told = await ask(server, "POST", f"/v1/{name}", json={})
    assert told.status == 404
    assert told.body["error"].keys() >= {"message", "type", "param", "code"}


async def test_the_document_says_which_version_this_is_and_no_other_server(
    server: RunningServer,
) -> None:
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document = await answer.json(content_type=None)
    about = await ask(server, "GET", "/")
    assert document["info"]["version"] == about.data["version"]
    assert not [each for each in document.get("servers", []) if "localhost" in each["url"]]
