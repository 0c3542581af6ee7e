"""OpenRouter is asked for exactly what was asked for, and only of providers that keep nothing."""

from __future__ import annotations

import pytest

from chuk.adapters.openai_compatible import Address
from chuk.adapters.openrouter import OpenRouter
from chuk.adapters.push_client import PushClient
from chuk.chat.command import Message, ReasoningEffort
from chuk.chat.events import Ended, Opened, UpstreamEvent, UpstreamUsage
from tests.adapters.completion_chunks import completed, of_kind, text_of
from tests.fakes.openrouter import FakeOpenRouter, Reply

PICTURE = "data:image/png;base64,iVBORw0KGgo="


async def answered(fake: FakeOpenRouter, push: PushClient, **fields: object) -> list[UpstreamEvent]:
    """All events of one completion."""
    return await completed(OpenRouter(push, lambda: Address(fake.base_url, fake.api_key)), **fields)


async def test_a_completion_says_who_answered_what_and_for_how_much(
    openrouter: FakeOpenRouter, push: PushClient
) -> None:
    openrouter.script(Reply(content=["Hel", "lo"]))
    events = await answered(openrouter, push)
    (generation,) = openrouter.generations.values()
    assert events[0] == Opened(generation.id, "Groq")
    assert text_of(events) == "Hello"
    (usage,) = of_kind(events, UpstreamUsage)
    assert usage == UpstreamUsage(1, 2, 3, generation.cost)
    assert events[-1] == Ended()


async def test_the_request_is_what_was_asked_for(
    openrouter: FakeOpenRouter, push: PushClient
) -> None:
    messages = (Message("system", "Be kind."), Message("user", "Hello"))
    await answered(openrouter, push, messages=messages, max_tokens=77, temperature=0.25)
    (record,) = openrouter.completions
    assert record.headers["authorization"] == f"Bearer {openrouter.api_key}"
    assert record.headers["accept-encoding"] == "identity"
    assert record.body == {
        "model": "qwen/qwen3-32b",
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "usage": {"include": True},
        "max_tokens": 77,
        "temperature": 0.25,
        "provider": {
            "only": ["groq"],
            "order": ["groq"],
            "allow_fallbacks": False,
            "zdr": True,
            "data_collection": "deny",
        },
    }


async def test_fallbacks_go_only_to_the_listed_providers_in_their_order(
    openrouter: FakeOpenRouter, push: PushClient
) -> None:
    slugs = ("groq", "deepinfra/fp8")
    await answered(openrouter, push, providers=slugs, allow_fallbacks=True)
    (record,) = openrouter.completions
    assert record.body["provider"] == {
        "only": ["groq", "deepinfra/fp8"],
        "order": ["groq", "deepinfra/fp8"],
        "allow_fallbacks": True,
        "zdr": True,
        "data_collection": "deny",
    }


async def test_pictures_follow_their_text(openrouter: FakeOpenRouter, push: PushClient) -> None:
    await answered(
        openrouter,
        push,
        model_id="google/gemma-3-27b-it",
        providers=("parasail/fp8",),
        messages=(Message("user", "What is this?", (PICTURE,)), Message("user", "", (PICTURE,))),
    )
    (record,) = openrouter.completions
    picture = {"type": "image_url", "image_url": {"url": PICTURE}}
    assert record.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]},
        {"role": "user", "content": [picture]},
    ]


@pytest.mark.parametrize(
    ("effort", "asked"),
    [
        (None, None),
        ("none", {"enabled": False}),
        ("minimal", {"effort": "minimal"}),
        ("low", {"effort": "low"}),
        ("medium", {"effort": "medium"}),
        ("high", {"effort": "high"}),
    ],
)
async def test_reasoning_effort_is_said_in_openrouters_words(
    openrouter: FakeOpenRouter,
    push: PushClient,
    effort: ReasoningEffort | None,
    asked: object,
) -> None:
    await answered(openrouter, push, reasoning_effort=effort)
    (record,) = openrouter.completions
    assert record.body.get("reasoning") == asked
    assert "reasoning_effort" not in record.body


async def test_one_connection_serves_one_completion_after_the_other(
    openrouter: FakeOpenRouter, push: PushClient
) -> None:
    for _ in range(3):
        await answered(openrouter, push)
    assert len({request.peer for request in openrouter.requests}) == 1
