"""Every JSON answer has the shape of the profile that its request chose."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from chuk.errors import ChukError
from chuk.web.envelope import CHOICES, Profile, error_event, render_error
from tests.conftest import StartServer
from tests.harness import RunningServer
from tests.web.every_error import EXAMPLES, error_classes

_TIMESTAMP = "%Y-%m-%dT%H:%M:%SZ"
_ACCEPT = {profile: {"Accept": profile.content_type} for profile in CHOICES}

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
async def raising(start_server: StartServer) -> AsyncIterator[RunningServer]:
    """A server whose `/raise/{name}` raises that error, and `/data` answers."""

    async def raise_it(request: web.Request) -> web.Response:
        raise EXAMPLES[request.match_info["name"]]

    def prepare(app: web.Application) -> None:
        app.router.add_get("/raise/{name}", raise_it)

    async with start_server(prepare=prepare, CHUK_LIMIT_ADDRESS="10000") as running:
        yield running


def test_every_error_class_has_an_example() -> None:
    assert {kind.__name__ for kind in error_classes()} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("profile", CHOICES)
async def test_every_error_reaches_the_client_in_its_profile(
    raising: RunningServer, name: str, profile: Profile
) -> None:
    error = EXAMPLES[name]
    async with raising.client.get(
        f"{raising.url}/raise/{name}", headers=_ACCEPT[profile]
    ) as answer:
        body = await answer.json()
        assert answer.status == error.status
        assert answer.headers["Content-Type"] == f"application/json; profile={profile}"
        for header, value in error.headers.items():
            assert answer.headers[header] == value
    details = json.loads(json.dumps(error.details))
    shown = {"code": error.code, "message": error.message, "details": details}
    expected: dict[str, Any] = {"error": shown}
    if profile is Profile.BARE:
        expected = {"detail": error.message, "error": shown}
    assert body == expected


@given(message=texts.filter(bool), details=st.dictionaries(texts, json_values, max_size=4))
def test_any_message_and_details_survive_rendering(
    message: str, details: dict[str, object]
) -> None:
    error = ChukError(message, details=details)
    shown = {"code": "INTERNAL_ERROR", "message": message, "details": details}
    enveloped, bare = render_error(Profile.ENVELOPE, error), render_error(Profile.BARE, error)
    assert isinstance(enveloped.body, bytes) and isinstance(bare.body, bytes)
    assert orjson.loads(enveloped.body) == {"error": shown}
    assert orjson.loads(bare.body) == {"detail": message, "error": shown}
    assert orjson.loads(error_event(Profile.ENVELOPE, error)) == {"error": shown}
    assert orjson.loads(error_event(Profile.BARE, error)) == {
        "error": message,
        "code": "INTERNAL_ERROR",
        "details": details,
    }


async def test_data_is_wrapped_with_time_and_request_id(server: RunningServer) -> None:
    async with server.client.get(
        f"{server.url}/", headers=_ACCEPT[Profile.ENVELOPE] | {"X-Request-ID": "abc-1"}
    ) as answer:
        body = await answer.json()
    assert body.keys() == {"data", "meta"}
    assert body["data"]["name"] == "Chuk Chat"
    assert body["meta"]["request_id"] == "abc-1"
    moment = datetime.strptime(body["meta"]["timestamp"], _TIMESTAMP).replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 60


async def test_bare_data_stands_alone(server: RunningServer) -> None:
    url = f"{server.url}/v1/models_info"
    async with server.client.get(url, headers=_ACCEPT[Profile.BARE]) as answer:
        models = await answer.json()
    async with server.client.get(url, headers=_ACCEPT[Profile.ENVELOPE]) as answer:
        assert (await answer.json())["data"] == models
    assert isinstance(models, list) and models


@pytest.mark.parametrize(
    ("accept", "profile"),
    [
        (None, "envelope"),
        ("*/*", "envelope"),
        ("application/json", "envelope"),
        ("application/json; profile=bare", "bare"),
        ("application/json;profile=bare", "bare"),
        ('application/json; profile="bare"', "bare"),
        ("application/json; profile=BARE; q=0.9, */*", "bare"),
        ("text/html, application/json; q=0.5; profile=bare", "bare"),
        ("application/json; profile=barely", "envelope"),
        ("application/json; profile=", "envelope"),
        ("application/profile=bare", "envelope"),
    ],
)
async def test_the_accept_header_chooses(
    server: RunningServer, accept: str | None, profile: str
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    async with server.client.get(f"{server.url}/", headers=headers) as answer:
        assert answer.headers["Content-Type"] == f"application/json; profile={profile}"


async def test_the_setting_decides_where_the_request_does_not(start_server: StartServer) -> None:
    async with start_server(CHUK_WIRE_PROFILE="bare") as server:
        async with server.client.get(f"{server.url}/") as answer:
            assert answer.headers["Content-Type"] == "application/json; profile=bare"
            assert (await answer.json())["name"] == "Chuk Chat"
        async with server.client.get(f"{server.url}/nowhere") as answer:
            assert (await answer.json())["detail"]
        async with server.client.get(f"{server.url}/", headers=_ACCEPT[Profile.ENVELOPE]) as answer:
            assert (await answer.json()).keys() == {"data", "meta"}


@pytest.mark.parametrize("offered", ["a", "A-b_c.d:9", "x" * 128])
async def test_a_sane_request_id_is_kept(server: RunningServer, offered: str) -> None:
    async with server.client.get(
        f"{server.url}/nowhere", headers={"X-Request-ID": offered}
    ) as answer:
        assert answer.headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "a b", "ä", '"quoted"', "<script>", "a,b"])
async def test_any_other_request_id_is_replaced(server: RunningServer, offered: str) -> None:
    async with server.client.get(
        f"{server.url}/nowhere", headers={"X-Request-ID": offered}
    ) as answer:
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
