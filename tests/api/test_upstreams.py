"""Several upstreams at once: one list, and each turn from where its model lives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from chuk.accounts.issuer import DEFAULT_USER
from tests.api.chat_client import post_fields
from tests.conftest import StartServer
from tests.credits.people import receipts_of
from tests.fakes.openrouter import FakeOpenRouter, Fault, Reply
from tests.harness import MODEL, RunningServer, answer_text

THEIRS = "google/gemma-3-27b-it"
OWN = "mine/gemma"


@pytest.fixture
async def own() -> AsyncIterator[FakeOpenRouter]:
    """A server of one's own: anything that speaks the protocol will do."""
    async with FakeOpenRouter(api_key="key-of-mine") as fake:
        yield fake


def models_file(folder: Path, own: FakeOpenRouter, more: str = "") -> dict[str, str]:
    """The variables for a models file with one server in it."""
    file = folder / "models.toml"
    file.write_text(
        f"""
        [upstreams.mine]
        url = "{own.base_url}"
        api_key_env = "KEY_OF_MINE"
        {more}
        [[upstreams.mine.models]]
        id = "{OWN}"
        name = "{THEIRS}"
        context_length = 8192
        vision = true
        prompt = "0.000001"
        completion = "0.000002"
        cache_read = "0.0000001"
        """,
        "utf-8",
    )
    return {"CHUK_UPSTREAM_MODELS_FILE": str(file), "KEY_OF_MINE": own.api_key}


async def listed(server: RunningServer) -> dict[str, Any]:
    """The public list, by id."""
    async with server.client.get(f"{server.url}/v1/models_info") as answer:
        assert answer.status == 200
        return {model["id"]: model for model in (await answer.json())["data"]}


async def test_each_model_says_where_it_lives_and_answers_from_there(
    start_server: StartServer, openrouter: FakeOpenRouter, own: FakeOpenRouter, tmp_path: Path
) -> None:
    async with start_server(**models_file(tmp_path, own)) as server:
        models = await listed(server)
        assert models[OWN]["upstream"] == "mine"
        assert models[OWN]["supports_vision"] is True
        assert [each["slug"] for each in models[OWN]["providers"]] == ["mine"]
        assert models[MODEL]["upstream"] == "openrouter"
        for model in (OWN, MODEL):
            status, events = await post_fields(server, model_id=model)
            assert status == 200 and answer_text(events)
    (asked,) = own.completions
    assert asked.body["model"] == THEIRS and "provider" not in asked.body
    (asked,) = openrouter.completions
    assert asked.body["model"] == MODEL


async def test_a_turn_is_paid_by_the_prices_of_the_file_and_less_for_what_was_cached(
    start_server: StartServer, own: FakeOpenRouter, openrouter: FakeOpenRouter, tmp_path: Path
) -> None:
    counts = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    cached = {**counts, "prompt_tokens_details": {"cached_tokens": 900}}
    own.script(Reply(content=["a"], usage=counts), Reply(content=["a"], usage=cached))
    environ = models_file(tmp_path, own)
    async with start_server(**environ, CHUK_USD_TO_EUR="1") as server:
        for _ in range(2):
            await post_fields(server, model_id=OWN)
        later, earlier = await receipts_of(server, DEFAULT_USER)
    assert earlier["charged_eur"] == pytest.approx(0.001 + 0.0002)
    assert later["charged_eur"] == pytest.approx(0.0001 + 0.00009 + 0.0002)


async def test_what_a_server_of_ones_own_says_of_money_is_not_the_price(
    start_server: StartServer, own: FakeOpenRouter, tmp_path: Path
) -> None:
    counts = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    own.script(Reply(content=["a"], usage={**counts, "cost": 5}))
    async with start_server(**models_file(tmp_path, own), CHUK_USD_TO_EUR="1") as server:
        await post_fields(server, model_id=OWN)
        (receipt,) = await receipts_of(server, DEFAULT_USER)
    assert receipt["charged_eur"] == pytest.approx(0.001 + 0.0002)
    assert receipt["basis"] == "tokens"


async def test_what_a_server_of_ones_own_cut_short_is_never_asked_of_another(
    start_server: StartServer, own: FakeOpenRouter, openrouter: FakeOpenRouter, tmp_path: Path
) -> None:
    own.script(Reply(content=["a", "b"], break_after=1))
    async with start_server(**models_file(tmp_path, own)) as server:
        status, events = await post_fields(server, model_id=OWN)
        assert status == 200 and events[-1]["error"]["code"] == "STREAM_INTERRUPTED"
        (receipt,) = await receipts_of(server, DEFAULT_USER)
        assert receipt["charged_eur"] > 0
    assert [each for each in openrouter.requests if each.path == "/generation"] == []


async def test_one_list_that_fails_costs_the_others_nothing(
    start_server: StartServer, openrouter: FakeOpenRouter, own: FakeOpenRouter, tmp_path: Path
) -> None:
    openrouter.fail("/models", Fault(status=500))
    environ = models_file(tmp_path, own)
    async with start_server(**environ) as server:
        assert set(await listed(server)) == {OWN}
        status, _ = await post_fields(server, model_id=OWN)
        assert status == 200
    openrouter.mend()
    async with start_server(**environ) as server:
        assert {OWN, MODEL} < set(await listed(server))
    openrouter.fail("/endpoints/zdr", Fault(status=500))
    # The last known list of the one that fails is on disk.
    async with start_server(**environ) as server:
        assert {OWN, MODEL} < set(await listed(server))


@pytest.mark.parametrize(
    ("url", "more", "is_offered"),
    [
        ("http://llm.example/v1", "", False),
        ("http://llm.example/v1", "zdr = false", False),
        ("http://llm.example/v1", "zdr = true", True),
        ("http://127.0.0.1:9/v1", "", True),
        ("http://127.0.0.1:9/v1", "zdr = false", False),
        ("http://10.1.2.3:8000/v1", "", True),
        ("http://8.8.8.8/v1", "", False),
    ],
)
async def test_a_server_that_may_keep_data_is_never_offered(
    start_server: StartServer, own: FakeOpenRouter, tmp_path: Path, url: str, more: str,
    is_offered: bool,
) -> None:  # fmt: skip
    environ = models_file(tmp_path, own, more)
    file = tmp_path / "models.toml"
    file.write_text(file.read_text("utf-8").replace(own.base_url, url), "utf-8")
    with capture_logs() as lines:
        async with start_server(**environ) as server:
            assert (OWN in await listed(server)) is is_offered
    refused = [line["upstream"] for line in lines if line["event"] == "upstream_not_offered"]
    assert refused == ([] if is_offered else ["mine"])


async def test_the_model_server_of_the_settings_is_offered_beside_openrouter(
    start_server: StartServer, own: FakeOpenRouter, openrouter: FakeOpenRouter
) -> None:
    environ = {
        "LOCAL_MODEL_URL": own.base_url,
        "LOCAL_MODEL_NAME": THEIRS,
        "LOCAL_MODEL_API_KEY": own.api_key,
    }
    async with start_server(**environ) as server:
        models = await listed(server)
        assert models[f"local/{THEIRS}"]["upstream"] == "local"
        assert MODEL in models
        status, _ = await post_fields(server, model_id=f"local/{THEIRS}")
        assert status == 200
    assert len(own.completions) == 1 and openrouter.completions == []


async def test_a_wrong_key_of_ones_own_server_is_not_the_users_fault(
    start_server: StartServer, own: FakeOpenRouter, tmp_path: Path
) -> None:
    environ = models_file(tmp_path, own)
    del environ["KEY_OF_MINE"]
    async with start_server(**environ) as server:
        status, answer = await post_fields(server, model_id=OWN)
    assert (status, answer["error"]["code"]) == (502, "PROVIDER_ERROR")


async def test_the_embedded_model_is_offered_beside_others_where_that_is_wished(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LOCAL_MODEL_BESIDE="true") as server:
        models = await listed(server)
        assert models["local/gemma-3-270m"]["upstream"] == "embedded"
        assert models[MODEL]["upstream"] == "openrouter"
        # Whether it has loaded by now does not matter to those who ask others.
        async with server.client.get(f"{server.url}/health") as answer:
            assert answer.status == 200
