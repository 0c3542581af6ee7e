"""What anybody may ask."""

from __future__ import annotations

import pytest

from chuk import __version__
from chuk.api.keys import HEALTH
from chuk.web.envelope import Profile
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer

_BARE = {"Accept": Profile.BARE.content_type}


async def test_the_root_says_who_answers_and_where_to_go_on(server: RunningServer) -> None:
    async with server.client.get(f"{server.url}/", headers=_BARE) as answer:
        about = await answer.json()
    assert (about["name"], about["version"]) == ("Chuk Chat", __version__)
    for link in ("docs", "health", "openapi"):
        async with server.client.get(server.url + about[link]) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models_info", "/openapi.json"])
async def test_head_is_get_without_the_body(server: RunningServer, path: str) -> None:
    async with server.client.head(f"{server.url}{path}") as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 0
        assert answer.headers["X-Request-ID"]
        assert await answer.read() == b""


async def test_health_is_good_and_never_cached(server: RunningServer) -> None:
    async with server.client.get(f"{server.url}/health", headers=_BARE) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert await answer.json() == {
            "status": "ok",
            "active_connections": 0,
            "version": __version__,
        }


async def connections(server: RunningServer) -> int:
    """How many open chat connections `/health` counts."""
    async with server.client.get(f"{server.url}/health", headers=_BARE) as answer:
        count: int = (await answer.json())["active_connections"]
        return count


async def test_health_counts_open_streams_and_sockets(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hel", "lo"], stall_after=1))
    async with server.socket() as socket:
        await socket.send_json({"type": "ping"})
        await socket.receive_json()
        assert await connections(server) == 1
        async with server.client.post(
            f"{server.url}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello"},
            headers=server.bearer(),
        ) as answer:
            assert await connections(server) == 2
            openrouter.release.set()
            await answer.read()
        assert await connections(server) == 1


async def test_health_is_bad_while_draining(server: RunningServer) -> None:
    server.app[HEALTH].is_draining = True
    async with server.client.get(f"{server.url}/health", headers=_BARE) as answer:
        assert answer.status == 503
        assert (await answer.json())["status"] == "draining"


async def test_without_a_model_list_nothing_is_well(
    start_server: StartServer, openrouter: FakeOpenRouter
) -> None:
    async with start_server(wait_until_ready=False, OPENROUTER_API_KEY="wrong") as server:
        async with server.client.get(f"{server.url}/health", headers=_BARE) as answer:
            assert answer.status == 503
            assert (await answer.json())["status"] == "unavailable"
        async with server.client.get(f"{server.url}/v1/models_info") as answer:
            assert answer.status == 503
            assert (await answer.json())["error"]["code"] == "SERVICE_UNAVAILABLE"
        # Who this is can still be asked.
        async with server.client.get(f"{server.url}/") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "authorization", [None, "Bearer a.b.c", "Basic dXNlcjpwYXNz", "good", "expired"]
)
@pytest.mark.parametrize("path", ["/", "/health", "/v1/models_info", "/openapi.json"])
async def test_a_token_changes_nothing(
    server: RunningServer, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    if authorization in ("good", "expired"):
        headers = server.bearer(seconds=600 if authorization == "good" else -600)
    async with server.client.get(f"{server.url}{path}", headers=headers) as answer:
        assert answer.status == 200


async def test_the_list_need_not_be_read_twice(server: RunningServer) -> None:
    url = f"{server.url}/v1/models_info"
    async with server.client.get(url) as answer:
        tag = answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "max-age=60"
        assert "Accept" in answer.headers["Vary"]
    for known in (tag, f'"other", {tag}', "*", tag.removeprefix("W/")):
        async with server.client.get(url, headers={"If-None-Match": known}) as answer:
            assert answer.status == 304, known
            assert answer.headers["ETag"] == tag
            assert answer.headers["Cache-Control"] == "max-age=60"
            assert answer.headers["X-Request-ID"]
            assert await answer.read() == b""


@pytest.mark.parametrize("known", ['"other"', "nonsense", "", "W/"])
async def test_another_list_is_sent_whole(server: RunningServer, known: str) -> None:
    url = f"{server.url}/v1/models_info"
    async with server.client.get(url, headers={"If-None-Match": known}) as answer:
        assert answer.status == 200
        assert (await answer.json())["data"]


async def test_each_profile_has_a_tag_of_its_own(server: RunningServer) -> None:
    url = f"{server.url}/v1/models_info"
    async with server.client.get(url) as answer:
        tag = answer.headers["ETag"]
    async with server.client.get(url, headers={**_BARE, "If-None-Match": tag}) as answer:
        assert answer.status == 200
        assert isinstance(await answer.json(), list)
