"""API3:2023, broken object property level authorization: no field that was not asked for counts.

What each schema takes and refuses is in tests/api; here every request is sent with the fields an
attacker would like to set, and every answer is searched for what it must not tell.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.credits.people import receipts_of, rich
from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.supabase_auth import handmade_token
from tests.harness import MODEL, RunningServer, sse_events
from tests.security.attacks import ask

VICTIM = UUID(int=7)
WISHES: dict[str, Any] = {
    "user_id": str(VICTIM),
    "sub": str(VICTIM),
    "owner": str(VICTIM),
    "role": "service_role",
    "is_admin": True,
    "admin": True,
    "scopes": ["chat", "admin"],
    "credits": 1_000_000,
    "credits_remaining": 1_000_000,
    "free_messages_remaining": 1_000_000,
    "cost_eur": 0,
    "price": 0,
    "charged": 0,
    "margin": -1,
    "free_message": True,
    "is_free": True,
    "upstream": "https://evil.example",
    "base_url": "https://evil.example",
    "api_key": "mine",
    "__class__": "Principal",
    "__proto__": {"is_admin": True},
    "constructor": {"prototype": {"is_admin": True}},
}
SECRETS = ("sk-or-v1-test", "sk_test_fake", "whsec_fake")


def wishes_without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in WISHES.items() if name not in names}


async def test_a_turn_costs_what_it_costs_and_is_its_callers_whatever_it_says(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    body = {"model_id": MODEL, "message": "Hello", **WISHES}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", json=body, headers=server.bearer(user)
    ) as answer:
        assert sse_events(await answer.read())[-1] == "[DONE]"
    (receipt,) = await receipts_of(server, user)
    assert receipt["charged_eur"] > 0
    assert await receipts_of(server, VICTIM) == []
    (sent,) = openrouter.completions
    assert not set(WISHES) & set(sent.body)
    assert "evil.example" not in json.dumps(sent.body)


async def test_openais_face_passes_on_nothing_that_it_does_not_know(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    user = await rich(server)
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        **WISHES,
        # What OpenRouter itself would heed: another model, other providers, its plugins.
        "provider": {"only": ["evil"], "data_collection": "allow", "zdr": False},
        "models": ["other/model"],
        "route": "fallback",
        "plugins": [{"id": "web"}],
        "transforms": ["middle-out"],
    }
    told = await ask(server, "POST", "/v1/chat/completions", user, json=body)
    assert told.status in (200, 400)
    for sent in openrouter.completions:
        assert not {"models", "route", "plugins", "transforms", *WISHES} & set(sent.body)
        assert sent.body["provider"].get("data_collection") != "allow"
        assert sent.body["provider"].get("zdr") is not False
        assert "evil" not in json.dumps(sent.body)
    for receipt in await receipts_of(server, user):
        assert receipt["charged_eur"] > 0


async def test_the_apps_own_requests_never_loosen_what_upstream_may_keep(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    for provider in ({"zdr": False}, "x", ["x"], {"order": ["evil"]}):
        body = {
            "model_id": MODEL,
            "message": "Hello",
            "provider": provider,
            "data_collection": "allow",
        }
        await ask(server, "POST", "/v1/ai/chat", await rich(server), json=body)
    for sent in openrouter.completions:
        assert sent.body["provider"]["zdr"] is True
        assert sent.body["provider"]["data_collection"] == "deny"
        assert "evil" not in json.dumps(sent.body)


async def test_a_key_is_no_more_than_its_maker_asked_for(server: RunningServer) -> None:
    user = await rich(server)
    wanted = {
        "name": "ci",
        "scopes": ["models"],
        **wishes_without("scopes"),
        "id": str(uuid4()),
        "key": "chuk_sk_" + "A" * 43,
        "last_four": "AAAA",
        "created_at": "2000-01-01",
        "spent_this_month_eur": -5,
    }
    told = await ask(server, "POST", "/v1/user/api-keys", user, json=wanted)
    if told.status == 400:
        told = await ask(
            server, "POST", "/v1/user/api-keys", user, json={"name": "ci", "scopes": ["models"]}
        )
    assert told.data["id"] != wanted["id"]
    assert told.data["key"] != wanted["key"]
    assert told.data["scopes"] == ["models"]
    assert told.data["spent_this_month_eur"] == 0
    assert (await ask(server, "GET", "/v1/user/api-keys", VICTIM)).data == {"api_keys": []}


@pytest.mark.parametrize("scopes", [["admin"], ["chat", "*"], "chat", {"chat": True}, [["chat"]]])
async def test_no_scope_can_be_invented(server: RunningServer, scopes: Any) -> None:
    told = await ask(
        server, "POST", "/v1/user/api-keys", uuid4(), json={"name": "ci", "scopes": scopes}
    )
    assert (told.status, told.code) == (400, "INVALID_REQUEST")


async def test_a_cap_is_ones_own_and_gives_no_credits(server: RunningServer) -> None:
    user = await rich(server, 1)
    before = (await ask(server, "GET", "/v1/user/status", user)).data
    body = {"daily_cap_eur": 1_000, **WISHES}
    await ask(server, "PUT", "/v1/user/spending-cap", user, json=body)
    assert (await ask(server, "GET", "/v1/user/status", user)).data == before
    caps = (await ask(server, "GET", "/v1/user/spending-cap", VICTIM)).data
    assert set(caps.values()) <= {None}


@pytest.mark.parametrize("amount", [-1, -0.01, 1e300, "1", True, [1], {"eur": 1}])
async def test_a_cap_is_a_sane_amount(server: RunningServer, amount: Any) -> None:
    user = uuid4()
    names = (await ask(server, "GET", "/v1/user/spending-cap", user)).data
    told = await ask(
        server, "PUT", "/v1/user/spending-cap", user, json=dict.fromkeys(names, amount)
    )
    assert (told.status, told.code) == (400, "INVALID_REQUEST")


async def test_claims_that_a_token_adds_give_nothing(server: RunningServer) -> None:
    header = {"alg": "HS256", "typ": "JWT"}
    # Not signed: of a signed one nothing but the user is read (tests/accounts/test_tokens.py).
    forged = handmade_token(header, {"sub": str(VICTIM), "role": "service_role"}, b"x" * 32)
    told = await ask(
        server, "GET", "/v1/user/status", headers={"Authorization": f"Bearer {forged}"}
    )
    assert told.code == "INVALID_TOKEN"


async def test_no_answer_tells_a_secret_a_prompt_or_what_is_inside(server: RunningServer) -> None:
    user = await rich(server)
    await ask(server, "POST", "/v1/user/api-keys", user, json={"name": "ci"})
    private = "a-private-sentence-of-mine"
    chat = {"model_id": MODEL, "message": private, "metadata": {"chat": "1"}}
    await ask(server, "POST", "/v1/ai/chat", user, json=chat)
    token = server.token(user)
    for path in (
        "/",
        "/health",
        "/openapi.json",
        "/v1/models_info",
        "/v1/models",
        "/v1/ai/models",
        "/v1/ai/config",
        f"/v1/ai/config?model_id={MODEL}",
        "/v1/ai/chat/streams",
        "/v1/user/status",
        "/v1/user/usage",
        "/v1/user/usage?group_by=model",
        "/v1/user/api-keys",
        "/v1/user/spending-cap",
        "/nothing/here",
    ):
        async with server.client.get(
            f"{server.url}{path}", headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            text = f"{await answer.text()} {dict(answer.headers)}"
        for hidden in (
            *SECRETS,
            token,
            private,
            "chuk_sk_",
            str(server.settings.server.data_dir),
            server.settings.upstream.openrouter_base_url,
            "generation_id",
            "Traceback",
        ):
            # The description of keys says how one looks.
            if hidden == "chuk_sk_" and path == "/openapi.json":
                continue
            assert hidden not in text, (path, hidden)
