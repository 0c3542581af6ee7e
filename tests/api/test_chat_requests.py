"""A chat request is understood in three forms, and refused in plain words when it is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.api.chat_client import multipart, post, post_fields
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, answer_text

NO_VISION, VISION = MODEL, "google/gemma-3-27b-it"


FIELDS = {
    "model_id": MODEL,
    "message": "What is new?",
    "provider_slug": "groq",
    "provider": "Groq (US)",
    "max_tokens": "512",
    "temperature": "0.25",
    "history": json.dumps(
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    ),
    "system_prompt": "Be kind.",
    "reasoning_effort": "low",
    "allow_provider_fallbacks": "true",
    "metadata": '{"screen": "chat"}',
    "some_new_field": "ignored",
}
TYPED: dict[str, Any] = {
    **FIELDS,
    "max_tokens": 512,
    "temperature": 0.25,
    "history": json.loads(FIELDS["history"]),
    "allow_provider_fallbacks": True,
    "metadata": {"screen": "chat"},
}


@pytest.mark.parametrize("form", ["json", "urlencoded", "multipart"])
async def test_three_forms_say_the_same(
    server: RunningServer, openrouter: FakeOpenRouter, form: str
) -> None:
    forms: dict[str, dict[str, Any]] = {
        "json": {"json": TYPED},
        "urlencoded": {"data": FIELDS},
        "multipart": {"data": multipart(FIELDS)},
    }
    status, events = await post(server, **forms[form])
    assert status == 200 and events[-1] == "[DONE]"
    (record,) = openrouter.completions
    assert record.body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": "What is new?"},
    ]
    assert record.body["max_tokens"] == 512
    assert record.body["temperature"] == 0.25
    assert record.body["reasoning"] == {"effort": "low"}
    # Whom else to ask is decided here, never by upstream.
    assert record.body["provider"]["only"] == ["groq"]
    assert record.body["provider"]["allow_fallbacks"] is False
    assert "some_new_field" not in record.body


async def test_what_is_not_said_has_its_default(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    await server.chat("Hello")
    (record,) = openrouter.completions
    assert record.body["max_tokens"] == 4096
    assert record.body["temperature"] == 0.7
    assert record.body["messages"] == [{"role": "user", "content": "Hello"}]
    assert "reasoning" not in record.body
    # The cheapest that keeps nothing and is not blocked.
    assert record.body["provider"]["only"] == ["deepinfra/fp8"]
    assert record.body["provider"]["allow_fallbacks"] is False


async def test_null_is_the_same_as_absent(server: RunningServer) -> None:
    names = "provider_slug provider history system_prompt reasoning_effort images metadata"
    status, events = await post_fields(
        server, **dict.fromkeys([*names.split(), "allow_provider_fallbacks"], None)
    )
    assert status == 200 and events[-1] == "[DONE]"


async def test_a_body_without_a_content_type_is_json(server: RunningServer) -> None:
    body = json.dumps({"model_id": MODEL, "message": "Hello"}).encode()
    status, events = await post(server, data=body, skip_auto_headers=["Content-Type"])
    assert status == 200 and answer_text(events)


@pytest.mark.parametrize(
    ("asked", "granted"), [(1, 1), (512, 512), (10**12, None), (1e12, None), (10**30, None)]
)
async def test_max_tokens_is_clamped_to_what_the_provider_gives(
    server: RunningServer, openrouter: FakeOpenRouter, asked: float, granted: int | None
) -> None:
    status, _ = await post_fields(server, max_tokens=asked, provider_slug="groq")
    assert status == 200
    (record,) = openrouter.completions
    assert record.body["max_tokens"] == granted or record.body["max_tokens"] == 40_960
    assert type(record.body["max_tokens"]) is int


WRONG: dict[str, dict[str, Any]] = {
    "max_tokens 0": {"max_tokens": 0},
    "max_tokens -1": {"max_tokens": -1},
    "max_tokens text": {"max_tokens": "512"},
    "max_tokens true": {"max_tokens": True},
    "max_tokens half": {"max_tokens": 1.5},
    "max_tokens list": {"max_tokens": [1]},
    "temperature high": {"temperature": 2.1},
    "temperature low": {"temperature": -0.1},
    "temperature true": {"temperature": True},
    "temperature text": {"temperature": "warm"},
    "message number": {"message": 7},
    "message list": {"message": ["Hello"]},
    "message blank": {"message": " \n\t"},
    "message null": {"message": None},
    "model_id number": {"model_id": 7},
    "model_id null": {"model_id": None},
    "model_id empty": {"model_id": ""},
    "model_id long": {"model_id": "x" * 10_000},
    "provider_slug number": {"provider_slug": 7},
    "reasoning_effort": {"reasoning_effort": "extreme"},
    "fallbacks text": {"allow_provider_fallbacks": "yes"},
    "history text": {"history": "[]"},
    "history object": {"history": {}},
    "history item": {"history": ["Hello"]},
    "history role": {"history": [{"role": "tool", "content": "x"}]},
    "history role list": {"history": [{"role": ["user"], "content": "x"}]},
    "history no content": {"history": [{"role": "user"}]},
    "history null content": {"history": [{"role": "user", "content": None}]},
    "history part": {"history": [{"role": "user", "content": [{"type": "video"}]}]},
    "history part text": {"history": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
    "history images": {"history": [{"role": "user", "content": "x", "images": "no"}]},
    "images text": {"images": "x"},
    "images number": {"images": [1]},
    "images url": {"images": ["https://example.com/cat.png"]},
    "images base64": {"images": ["data:image/png;base64,@@@"]},
    "metadata text": {"metadata": "x"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_wrong_field_is_named(
    server: RunningServer, openrouter: FakeOpenRouter, wrong: dict[str, Any]
) -> None:
    status, answer = await post_fields(server, **wrong)
    assert status == 400
    assert answer["error"]["code"] == "INVALID_REQUEST"
    (field,) = wrong
    (named,) = answer["error"]["details"]["fields"]
    assert named == field
    assert openrouter.completions == []


@pytest.mark.parametrize("missing", ["model_id", "message"])
async def test_a_missing_field_is_named(server: RunningServer, missing: str) -> None:
    fields = {"model_id": MODEL, "message": "Hello"}
    del fields[missing]
    status, answer = await post(server, json=fields)
    assert status == 400
    assert list(answer["error"]["details"]["fields"]) == [missing]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": "abc"},
        {"max_tokens": "NaN"},
        {"max_tokens": "Infinity"},
        {"max_tokens": "1e400"},
        {"max_tokens": "9" * 5_000},
        {"max_tokens": ""},
        {"max_tokens": "true"},
        {"temperature": "nan"},
        {"temperature": "-inf"},
        {"allow_provider_fallbacks": "maybe"},
        {"history": "{"},
        {"history": '"text"'},
        {"history": "NaN"},
        {"metadata": "[" * 5_000},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["urlencoded", "multipart"])
async def test_a_wrong_field_of_a_form_is_named(
    server: RunningServer, wrong: dict[str, str], form: str
) -> None:
    fields = {"model_id": MODEL, "message": "Hello", **wrong}
    status, answer = await post(server, data=fields if form == "urlencoded" else multipart(fields))
    assert status == 400
    assert list(answer["error"]["details"]["fields"]) == list(wrong)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_json_has_no_such_numbers(server: RunningServer, number: str) -> None:
    body = f'{{"model_id": "{MODEL}", "message": "Hello", "temperature": {number}}}'
    headers = {"Content-Type": "application/json", **server.bearer()}
    async with server.client.post(
        f"{server.url}/v1/ai/chat", data=body, headers=headers
    ) as response:
        assert response.status == 400


async def test_history_may_have_parts_and_its_pictures_may_be_null(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    url = "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ=="
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "And that?"},
    ]
    history = [
        {"role": "user", "content": parts, "images": None, "timestamp": 1},
        {"role": "assistant", "content": "A cat.", "images": []},
        {"role": "user", "content": "Sure?", "images": [url]},
    ]
    assert (await post_fields(server, model_id=VISION, history=history))[0] == 200
    assert (await post_fields(server, model_id=NO_VISION, history=history))[0] == 200
    seeing, blind = (record.body["messages"] for record in openrouter.completions)
    picture = {"type": "image_url", "image_url": {"url": url}}
    assert seeing == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is this?\nAnd that?"}, picture],
        },
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": [{"type": "text", "text": "Sure?"}, picture]},
        {"role": "user", "content": "Hello"},
    ]
    assert blind == [
        {"role": "user", "content": "What is this?\nAnd that?"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Sure?"},
        {"role": "user", "content": "Hello"},
    ]


@pytest.mark.parametrize(
    "metadata",
    # Of the last not every book could keep a row, and then nothing would be paid.
    [{}, {"a": {"b": 1}}, {"x": "y" * 10_000}, {"n": None}, {"a": "\x00"}, {"\x00": "a"}],
)
async def test_odd_metadata_harms_no_turn(server: RunningServer, metadata: Any) -> None:
    status, events = await post_fields(server, metadata=metadata)
    assert status == 200 and events[-1] == "[DONE]"
    async with server.client.get(f"{server.url}/v1/user/usage", headers=server.bearer()) as answer:
        (receipt,) = (await answer.json())["data"]["receipts"]
    assert receipt["tags"] == {}


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"model_id": "no/such"}, {"model": "no/such"}),
        ({"model_id": "deepseek/deepseek-chat-v3.1"}, {"model": "deepseek/deepseek-chat-v3.1"}),
        ({"provider_slug": "no-such"}, {"model": MODEL, "provider": "no-such"}),
        ({"provider_slug": "nebius/base"}, {"model": MODEL, "provider": "nebius/base"}),
        ({"provider_slug": "chutes/bf16"}, {"model": MODEL, "provider": "chutes/bf16"}),
    ],
    ids=["unknown model", "model without ZDR", "unknown provider", "not ZDR", "blocked"],
)
async def test_a_model_or_provider_that_is_not_listed_is_never_asked(
    server: RunningServer,
    openrouter: FakeOpenRouter,
    fields: dict[str, str],
    details: dict[str, str],
) -> None:
    for more in ({}, {"allow_provider_fallbacks": True}):
        status, answer = await post_fields(server, **fields, **more)
        assert status == 404
        assert answer["error"]["code"] == "MODEL_NOT_FOUND"
        assert answer["error"]["details"] == details
    assert openrouter.completions == []


async def test_fallbacks_never_reach_a_provider_that_is_not_listed(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(*[Reply(status=500)] * 5)
    status, _ = await post_fields(server, provider_slug="groq", allow_provider_fallbacks=True)
    assert status == 502
    asked = [record.body["provider"]["only"] for record in openrouter.completions]
    assert asked == [["groq"], ["deepinfra/fp8"]]


async def test_a_conversation_too_long_is_refused(server: RunningServer) -> None:
    status, answer = await post_fields(server, message="word " * 300_000)
    assert status == 400
    assert answer["error"]["code"] == "CONTEXT_TOO_LONG"
    assert answer["error"]["details"]["max_tokens"] == 131_072
    assert answer["error"]["details"]["model"] == MODEL
