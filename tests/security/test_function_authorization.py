"""API5:2023, broken function level authorization: each way in opens what it is for, no more.

Which scope each route asks for and what is its owner's alone: tests/api/test_api_keys.py and
tests/openai_face. Here every route of the document is tried, so that a new one is covered by
itself; and what signs webhooks, locks accounts and names methods.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from chuk.accounts.principal import Scope
from tests.conftest import StartServer
from tests.credits.people import rich
from tests.fakes.stripe import FakeStripe
from tests.harness import RunningServer
from tests.security.attacks import ask

FILLED = {"{id}": "x", "{key_id}": "00000000-0000-0000-0000-000000000000", "{name}": "x"}
OPEN = {"/", "/health", "/openapi.json", "/v1/models_info", "/v1/ai/images/x"}
_BY_KEY = "x-api-key-scope"


@pytest.fixture
async def server(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server that bills, with limits out of reach."""
    kinds = ("CHAT", "AUDIO", "IMAGE", "FILE", "SPEECH", "OTHER", "ADDRESS")
    async with FakeStripe() as stripe:
        limits = dict.fromkeys((f"CHUK_LIMIT_{kind}" for kind in kinds), "10000")
        async with start_server(**stripe.environ(), **limits) as running:
            yield running


async def described(server: RunningServer) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path with something in it, and description of each signed-in operation."""
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document = await answer.json(content_type=None)
    found = []
    for path, operations in document["paths"].items():
        filled = path
        for name, value in FILLED.items():
            filled = filled.replace(name, value)
        if filled in OPEN or not filled.startswith("/v1/") or filled.endswith("/ws"):
            continue
        found += [(method.upper(), filled, each) for method, each in operations.items()]
    return found


async def key_for(server: RunningServer, user: UUID, scopes: list[str]) -> dict[str, str]:
    """The header of a personal key with these scopes."""
    told = await ask(
        server, "POST", "/v1/user/api-keys", user, json={"name": "ci", "scopes": scopes}
    )
    return {"Authorization": f"Bearer {told.data['key']}"}


async def test_a_key_of_every_scope_opens_what_says_so_and_nothing_else(
    server: RunningServer,
) -> None:
    header = await key_for(server, uuid4(), [each.value for each in Scope])
    for method, path, operation in await described(server):
        told = await ask(server, method, path, headers=header)
        if operation.get(_BY_KEY):
            assert told.status not in (401, 403), (method, path)
        else:
            assert (told.status, told.code) == (403, "FORBIDDEN"), (method, path)


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_key_of_one_scope_opens_nothing_of_another(
    server: RunningServer, scope: Scope
) -> None:
    header = await key_for(server, uuid4(), [scope.value])
    for method, path, operation in await described(server):
        if operation.get(_BY_KEY) in (None, scope.value):
            continue
        told = await ask(server, method, path, headers=header)
        # OpenAI's clients are told in their own words.
        assert (told.status, told.code.upper()) == (403, "FORBIDDEN"), (method, path)


async def test_a_key_makes_no_keys_and_deletes_no_account(server: RunningServer) -> None:
    user = await rich(server)
    header = await key_for(server, user, [each.value for each in Scope])
    for method, path in (
        ("POST", "/v1/user/api-keys"),
        ("DELETE", "/v1/user/delete-account"),
        ("PUT", "/v1/user/spending-cap"),
        ("POST", "/v1/stripe/create-portal-session"),
    ):
        told = await ask(server, method, path, headers=header, json={"name": "more"})
        assert told.code == "FORBIDDEN"
    assert (await ask(server, "GET", "/v1/user/status", user)).status == 200


async def test_no_token_signs_a_webhook(server: RunningServer) -> None:
    user = await rich(server)
    event = {"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}
    for headers in (
        server.bearer(user),
        await key_for(server, user, ["chat"]),
        {"Stripe-Signature": "t=1,v1="},
        {"Stripe-Signature": f"t={'9' * 400},v1={'0' * 64}"},
        {"Stripe-Signature": "v1=" + ",v1=".join(["0" * 64] * 100)},
    ):
        told = await ask(server, "POST", "/webhooks/stripe", headers=headers, json=event)
        assert (told.status, told.code) == (400, "INVALID_REQUEST")


async def test_a_deleted_account_opens_nothing_at_all(server: RunningServer) -> None:
    user = await rich(server)
    assert (await ask(server, "DELETE", "/v1/user/delete-account", user)).status == 200
    for method, path, _ in await described(server):
        if path.endswith("/delete-account"):
            continue
        told = await ask(server, method, path, user)
        assert told.status == 403, (method, path)


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "_method"]
)
async def test_a_method_is_what_the_request_line_says(server: RunningServer, name: str) -> None:
    user = await rich(server)
    told = await ask(
        server,
        "POST",
        "/v1/user/delete-account",
        user,
        headers={name: "DELETE"},
        json={"_method": "DELETE"},
    )
    assert told.status == 405
    told = await ask(server, "GET", "/v1/user/delete-account?_method=DELETE", user)
    assert told.status == 405
    assert (await ask(server, "GET", "/v1/user/status", user)).status == 200


async def test_a_path_spelt_otherwise_is_no_way_around(server: RunningServer) -> None:
    for path in (
        "/v1/user/status/",
        "/v1/user//status",
        "/v1/USER/status",
        "/V1/user/status",
        "/v1/ai/..%2fuser/status",
        "/v1/user/status;a=b",
        "/v1/user/status%00",
        "/v1/user/status%2f",
        "/v1/models_info/../user/status",
        "/v1/models_info%2f..%2fuser%2fstatus",
    ):
        told = await ask(server, "GET", path)
        assert told.status in (401, 404), path
