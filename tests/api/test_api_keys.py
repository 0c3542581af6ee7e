"""`/v1/user/api-keys`, and what a program may do with such a key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from chuk.accounts.principal import Scope
from chuk.adapters.sqlite.database import FILE_NAME
from tests.api.socket_client import chats, message, refused
from tests.conftest import StartServer
from tests.credits.people import ask, receipts_of, rich
from tests.fakes.fal import FakeFal
from tests.harness import MODEL, RunningServer, eventually, sse_events
from tests.web.sending import FORM_DATA, part

KEYS = "/v1/user/api-keys"
FILE = part(b'Content-Disposition: form-data; name="file"; filename="a.txt"', b"Hi") + b"--b--\r\n"
CHAT = {"model_id": MODEL, "message": "Hello", "max_tokens": 500}
# One request for each scope that the app's own routes know.
ASKED: list[tuple[Scope, str, str, dict[str, Any]]] = [
    (Scope.CHAT, "POST", "/v1/ai/chat", {"json": CHAT}),
    (Scope.CHAT, "POST", "/v1/ai/quote", {"json": CHAT}),
    (Scope.MODELS, "GET", "/v1/ai/models", {}),
    (Scope.MODELS, "GET", "/v1/ai/config", {}),
    (Scope.IMAGES, "POST", "/v1/ai/generate-image", {"json": {}}),
    (Scope.AUDIO, "POST", "/v1/ai/inworld-tts", {"json": {}}),
    (Scope.AUDIO, "POST", "/v1/ai/transcribe-audio", {"json": {}}),
    (Scope.FILES, "POST", "/v1/ai/convert-file", {"json": {}}),
]


async def new_key(server: RunningServer, user: Any, **fields: Any) -> dict[str, Any]:
    """A key as it is shown once."""
    made: dict[str, Any] = await ask(
        server, user, KEYS, method="POST", json={"name": "ci", **fields}
    )
    return made


async def use(
    server: RunningServer, key: str, method: str, path: str, **options: Any
) -> tuple[int, Any]:
    """The status and the answer (or its error) to a program with this key."""
    headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
    async with server.client.request(
        method, f"{server.url}{path}", headers=headers, **options
    ) as answer:
        if answer.content_type == "text/event-stream":
            return answer.status, sse_events(await answer.read())
        body = await answer.json()
        return answer.status, body.get("error", body.get("data"))


async def test_a_key_is_shown_once_and_then_known_by_its_last_four_characters(
    server: RunningServer,
) -> None:
    user = await rich(server)
    wanted = {
        "name": "ci",
        "scopes": ["models", "chat"],
        "monthly_budget_eur": 2.5,
        "expires_at": "2100-01-15",
    }
    async with server.client.post(
        f"{server.url}{KEYS}", json=wanted, headers=server.bearer(user)
    ) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
        made = (await answer.json())["data"]
    key = made.pop("key")
    assert key.startswith("chuk_sk_")
    assert key.endswith(made["last_four"])
    assert (
        made
        | {
            "name": "ci",
            "scopes": ["chat", "models"],
            "monthly_budget_eur": 2.5,
            "spent_this_month_eur": 0.0,
            "expires_at": "2100-01-15T00:00:00Z",
            "last_used_at": None,
        }
        == made
    )
    assert await ask(server, user, KEYS) == {"api_keys": [made]}
    assert await ask(server, uuid4(), KEYS) == {"api_keys": []}


async def test_what_is_asked_for_through_a_key_is_its_owners_and_on_its_bill(
    server: RunningServer,
) -> None:
    user = await rich(server)
    made = await new_key(server, user)
    status, events = await use(server, made["key"], "POST", "/v1/ai/chat", json=CHAT)
    assert (status, events[-1]) == (200, "[DONE]")
    (receipt,) = await receipts_of(server, user)
    assert receipt["api_key_id"] == made["id"]
    (listed,) = (await ask(server, user, KEYS))["api_keys"]
    assert listed["spent_this_month_eur"] == receipt["charged_eur"] > 0


async def test_a_quote_through_a_key_knows_its_budget(server: RunningServer) -> None:
    user = await rich(server)
    rich_key = await new_key(server, user, monthly_budget_eur=5)
    poor_key = await new_key(server, user, monthly_budget_eur=0.000001)
    for made, affordable in ((rich_key, True), (poor_key, False)):
        status, quote = await use(server, made["key"], "POST", "/v1/ai/quote", json=CHAT)
        assert (status, quote["affordable"]) == (200, affordable)


async def test_a_file_through_a_key_counts_in_its_budget(server: RunningServer) -> None:
    made = await new_key(server, user := await rich(server))
    status, _ = await use(
        server,
        made["key"],
        "POST",
        "/v1/ai/convert-file",
        data=FILE,
        headers={"Content-Type": FORM_DATA},
    )
    assert status == 200
    (receipt,) = await receipts_of(server, user)
    assert (receipt["operation"], receipt["api_key_id"]) == ("conversion", made["id"])


async def test_a_picture_through_a_key_counts_in_its_budget(start_server: StartServer) -> None:
    picture = {"prompt": "a hill", "custom_width": 512, "custom_height": 512}
    path = "/v1/ai/generate-image"
    async with FakeFal() as fal, start_server(FAL_KEY=fal.key, FAL_QUEUE_URL=fal.queue_url) as paid:
        user = await rich(paid)
        made = await new_key(paid, user, monthly_budget_eur=0.03)
        assert (await use(paid, made["key"], "POST", path, json=picture))[0] == 200
        status, error = await use(paid, made["key"], "POST", path, json=picture)
        assert (status, error["code"]) == (429, "QUOTA_EXCEEDED")
        assert error["details"] == {
            "period": "month",
            "cap": 0.03,
            "spent": 0.02,
            "api_key_id": made["id"],
        }
        # Its owner is not bound by it.
        await ask(paid, user, path, method="POST", json=picture)


@pytest.mark.parametrize(("scope", "method", "path", "options"), ASKED)
async def test_a_key_may_do_only_what_its_scopes_say(
    server: RunningServer, scope: Scope, method: str, path: str, options: dict[str, Any]
) -> None:
    user = await rich(server)
    others = [each.value for each in Scope if each is not scope]
    without = (await new_key(server, user, scopes=others))["key"]
    only = (await new_key(server, user, scopes=[scope.value]))["key"]
    status, error = await use(server, without, method, path, **options)
    assert (status, error["code"], error["details"]) == (403, "FORBIDDEN", {"scope": scope.value})
    assert (await use(server, only, method, path, **options))[0] in (200, 400)


async def test_no_key_reaches_what_is_its_owners_alone(server: RunningServer) -> None:
    user = await rich(server)
    made = await new_key(server, user)
    for method, path in (
        ("POST", KEYS),
        ("GET", KEYS),
        ("DELETE", f"{KEYS}/{made['id']}"),
        ("GET", "/v1/user/status"),
        ("GET", "/v1/user/usage"),
        ("PUT", "/v1/user/spending-cap"),
        ("DELETE", "/v1/user/delete-account"),
        ("POST", "/v1/stripe/create-checkout-session"),
        ("POST", "/v1/stripe/create-portal-session"),
        ("POST", "/v1/stripe/sync-subscription"),
    ):
        status, error = await use(server, made["key"], method, path, json={})
        assert (status, error["code"], error["details"]) == (403, "FORBIDDEN", {}), path
    assert len((await ask(server, user, KEYS))["api_keys"]) == 1


async def test_a_revoked_key_is_invalid_at_once(server: RunningServer) -> None:
    user = await rich(server)
    made = await new_key(server, user)
    assert (await use(server, made["key"], "GET", "/v1/ai/models"))[0] == 200
    path = f"{KEYS}/{made['id']}"
    assert await ask(server, user, path, method="DELETE") == {"deleted": True}
    status, error = await use(server, made["key"], "GET", "/v1/ai/models")
    assert (status, error["code"]) == (401, "INVALID_TOKEN")
    await ask(server, user, path, method="DELETE", status=404)
    await ask(server, user, f"{KEYS}/nonsense", method="DELETE", status=404)


async def test_an_expired_key_says_when_it_ended(server: RunningServer) -> None:
    user = await rich(server)
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    made = await new_key(server, user, expires_at=soon.isoformat())
    await eventually(lambda: datetime.now(UTC) > soon)
    status, error = await use(server, made["key"], "GET", "/v1/ai/models")
    assert (status, error["code"]) == (401, "TOKEN_EXPIRED")
    assert error["details"] == {"expired_at": made["expires_at"]}


async def test_an_unknown_key_counts_against_its_address(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="2") as server:
        answers = [
            await use(server, "chuk_sk_" + "A" * 43, "GET", "/v1/ai/models") for _ in range(3)
        ]
    assert [(status, error["code"]) for status, error in answers] == [
        (401, "INVALID_TOKEN"),
        (401, "INVALID_TOKEN"),
        (429, "RATE_LIMITED"),
    ]


async def test_the_limits_are_the_users_however_many_keys_there_are(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LIMIT_OTHER="4") as server:
        user = uuid4()
        keys = [(await new_key(server, user))["key"] for _ in range(2)]
        statuses = [(await use(server, key, "GET", "/v1/ai/models"))[0] for key in keys * 2]
    assert statuses == [200, 200, 429, 429]


async def test_keys_of_a_deleted_account_are_refused_and_gone(server: RunningServer) -> None:
    user = await rich(server)
    made = await new_key(server, user)
    assert (await use(server, made["key"], "GET", "/v1/ai/models"))[0] == 200
    await ask(server, user, "/v1/user/delete-account", method="DELETE")
    status, error = await use(server, made["key"], "GET", "/v1/ai/models")
    assert (status, error["code"]) == (403, "FORBIDDEN")


async def test_a_socket_takes_a_key_and_asks_about_it_at_every_turn(
    server: RunningServer,
) -> None:
    user = await rich(server)
    made = await new_key(server, user)
    async with server.socket(headers={"Authorization": f"Bearer {made['key']}"}) as socket:
        assert await chats(socket)
        await ask(server, user, f"{KEYS}/{made['id']}", method="DELETE")
        await socket.send_json(message())
        assert await refused(socket) == "INVALID_TOKEN"
        other = await new_key(server, user, scopes=["models"])
        await socket.send_json(message(token=other["key"]))
        assert await refused(socket) == "FORBIDDEN"
    (receipt,) = await receipts_of(server, user)
    assert receipt["api_key_id"] == made["id"]


async def test_a_key_revoked_by_another_process_pays_for_nothing_more(
    server: RunningServer,
) -> None:
    user = await rich(server)
    made = await new_key(server, user)
    assert (await use(server, made["key"], "POST", "/v1/ai/chat", json=CHAT))[0] == 200
    file = server.settings.server.data_dir / FILE_NAME
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM api_keys")
    status, error = await use(server, made["key"], "POST", "/v1/ai/chat", json=CHAT)
    assert (status, error["code"]) == (401, "INVALID_TOKEN")
    assert len(await receipts_of(server, user)) == 1


async def test_every_route_that_a_key_may_call_is_known_here(server: RunningServer) -> None:
    """What is not listed is for signed-in people: nothing is open to keys by accident."""
    async with server.client.get(f"{server.url}/openapi.json") as answer:
        document = await answer.json(content_type=None)
    open_to_keys = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if operation.get("x-api-key-scope")
    }
    assert {(method, path) for _, method, path, _ in ASKED} <= open_to_keys
    assert not {path for _, path in open_to_keys if path.startswith(("/v1/user", "/v1/stripe"))}
