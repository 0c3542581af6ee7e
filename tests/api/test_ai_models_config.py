"""The models a user may use, and what a client may rely on."""

from __future__ import annotations

from typing import Any

import pytest

from chuk.web.envelope import Profile
from tests.conftest import StartServer
from tests.harness import MODEL, RunningServer

_MODEL_KEYS = {
    "id",
    "name",
    "description",
    "icon_url",
    "supports_vision",
    "supports_reasoning",
    "context_length",
    "upstream",
    "providers",
}
_PROVIDER_KEYS = {
    "slug",
    "name",
    "icon_url",
    "pricing",
    "context_length",
    "max_completion_tokens",
    "is_moderated",
}


async def data(server: RunningServer, path: str) -> Any:
    """The bare data that a signed-in user gets."""
    headers = {**server.bearer(), "Accept": Profile.BARE.content_type}
    async with server.client.get(f"{server.url}{path}", headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_the_users_list_is_the_public_list(server: RunningServer) -> None:
    assert await data(server, "/v1/ai/models") == await data(server, "/v1/models_info")


async def test_every_model_has_the_shape_that_the_app_casts(server: RunningServer) -> None:
    models = await data(server, "/v1/ai/models")
    assert [model["id"] for model in models] == sorted({model["id"] for model in models})
    for model in models:
        assert model.keys() == _MODEL_KEYS
        assert isinstance(model["context_length"], int)
        slugs = [provider["slug"] for provider in model["providers"]]
        assert slugs and len(set(slugs)) == len(slugs)
        for provider in model["providers"]:
            assert provider.keys() == _PROVIDER_KEYS
            assert provider["pricing"].keys() == {"prompt", "completion", "request", "image"}
            assert isinstance(provider["pricing"]["prompt"], float)
            assert isinstance(provider["pricing"]["completion"], float)
            assert isinstance(provider["context_length"], int)


async def test_only_providers_that_keep_nothing_are_listed(server: RunningServer) -> None:
    models = {model["id"]: model for model in await data(server, "/v1/ai/models")}
    slugs = {provider["slug"] for provider in models[MODEL]["providers"]}
    # Not `nebius/base`, which keeps data, nor `chutes/bf16`, which is blocked.
    assert slugs == {"groq", "deepinfra/fp8"}
    assert "deepseek/deepseek-chat-v3.1" not in models


async def test_the_users_list_need_not_be_read_twice(server: RunningServer) -> None:
    url = f"{server.url}/v1/ai/models"
    async with server.client.get(url, headers=server.bearer()) as answer:
        tag = answer.headers["ETag"]
    headers = {**server.bearer(), "If-None-Match": tag}
    async with server.client.get(url, headers=headers) as answer:
        assert answer.status == 304
        assert answer.headers["X-RateLimit-Limit"] == "120"
    async with server.client.get(url, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 401


async def test_the_configuration_is_what_the_server_does(start_server: StartServer) -> None:
    async with start_server(
        CHUK_LIMIT_CHAT="7",
        CHUK_CHAT_MESSAGE_MAX_BYTES="5000",
        CHUK_CHAT_IMAGE_MAX_COUNT="2",
        CHUK_USD_TO_EUR="0.9",
        CHUK_MARGIN="0.25",
    ) as server:
        config = await data(server, "/v1/ai/config")
    assert config["defaults"] == {"max_tokens": 4096, "temperature": 0.7}
    assert config["limits"]["chat_per_window"] == 7
    assert config["limits"]["rate_window_seconds"] == 60
    assert config["limits"]["message_max_bytes"] == 5000
    assert config["limits"]["images_max_count"] == 2
    assert config["prices"] == {
        "currency": "EUR",
        "usd_to_eur": 0.9,
        "margin": 0.25,
        "file_eur": 0.0,
        "transcription_per_second_eur": 0.0,
        "speech_per_character_eur": 0.0,
        "image_per_2_20_pixels_eur": 0.0,
        "plan": "pro",
        "plan_price_eur": 20.0,
        "plan_credits_eur": 16.0,
    }
    assert set(config["formats"]["images"]) == {
        "image/png",
        "image/jpeg",
        "image/webp",
        "image/gif",
    }
    assert config["features"]["chat"] is True
    assert config["features"]["billing"] is False
    assert "model" not in config


@pytest.mark.parametrize(
    ("model_id", "reasons", "sees"),
    [(MODEL, True, False), ("google/gemma-3-27b-it", False, True)],
)
async def test_a_model_has_a_configuration_of_its_own(
    server: RunningServer, model_id: str, reasons: bool, sees: bool
) -> None:
    config = await data(server, f"/v1/ai/config?model_id={model_id}")
    models = {model["id"]: model for model in await data(server, "/v1/ai/models")}
    assert config["model"] == models[model_id]
    assert config["features"]["reasoning"] is reasons
    assert config["features"]["images_in_chat"] is sees
    cheapest = models[model_id]["providers"][0]
    assert config["limits"]["context_length"] == cheapest["context_length"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model_id=nobody/knows", 404, "MODEL_NOT_FOUND"),
        ("model_id=deepseek/deepseek-chat-v3.1", 404, "MODEL_NOT_FOUND"),
        ("model_id=", 400, "INVALID_REQUEST"),
        ("model_id=" + "a" * 201, 400, "INVALID_REQUEST"),
    ],
)
async def test_a_model_that_is_not_there_has_none(
    server: RunningServer, query: str, status: int, code: str
) -> None:
    async with server.client.get(
        f"{server.url}/v1/ai/config?{query}", headers=server.bearer()
    ) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
        assert error["code"] == code
    if status == 404:
        assert error["details"] == {"model": query.partition("=")[2]}
    else:
        assert error["details"]["fields"].keys() == {"model_id"}


async def test_unknown_parameters_are_ignored(server: RunningServer) -> None:
    assert await data(server, "/v1/ai/config?colour=red") == await data(server, "/v1/ai/config")
