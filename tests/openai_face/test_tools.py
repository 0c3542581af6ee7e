"""Tools and the form of an answer: through to the model, and its calls back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError
from pydantic import BaseModel

from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, sse_events
from tests.openai_face.clients import HELLO, WEATHER, receipts_of

CALLS = Reply(
    tool_calls=[
        [
            {
                "index": 0,
                "id": "call_a",
                "type": "function",
                "function": {"name": "weather", "arguments": ""},
            }
        ],
        [{"index": 0, "function": {"arguments": '{"city": "Köln'}}],
        [{"index": 0, "function": {"arguments": ' 😀"}'}}],
        [
            {
                "index": 1,
                "id": "call_b",
                "type": "function",
                "function": {"name": "weather", "arguments": '{"city": "Bonn"}'},
            }
        ],
    ]
)


class City(BaseModel):
    """What a test wants to be told."""

    name: str
    people: int


async def test_calls_come_back_and_their_answers_go_to_the_model(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(CALLS, Reply(content=["Sunny."]))
    talk: list[Any] = list(HELLO)
    first = await client.chat.completions.create(
        model=MODEL,
        messages=talk,
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=True,
    )
    (choice,) = first.choices
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    calls = choice.message.tool_calls
    assert calls is not None
    assert [call.id for call in calls] == ["call_a", "call_b"]
    assert [call.type for call in calls] == ["function", "function"]
    assert json.loads(calls[0].function.arguments) == {"city": "Köln 😀"}  # type: ignore[union-attr]

    talk += [choice.message]
    talk += [{"role": "tool", "tool_call_id": call.id, "content": "sun"} for call in calls]
    second = await client.chat.completions.create(model=MODEL, messages=talk, tools=[WEATHER])
    assert second.choices[0].message.content == "Sunny."
    sent = [request.body for request in openrouter.completions]
    assert sent[0]["tools"] == [WEATHER]
    assert sent[0]["tool_choice"] == "required" and sent[0]["parallel_tool_calls"] is True
    # The cheapest provider knows no tools.
    assert sent[0]["provider"]["only"] == ["groq"]
    _, said, *answers = sent[1]["messages"]
    assert said["content"] is None and said["tool_calls"][0]["function"]["name"] == "weather"
    assert answers == [
        {"role": "tool", "content": "sun", "tool_call_id": "call_a"},
        {"role": "tool", "content": "sun", "tool_call_id": "call_b"},
    ]


async def test_streamed_calls_are_put_together_by_the_library(
    client: AsyncOpenAI, server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(CALLS)
    async with client.chat.completions.stream(
        model=MODEL, messages=HELLO, tools=[WEATHER]
    ) as stream:
        async for _ in stream:
            pass
        whole = await stream.get_final_completion()
    (choice,) = whole.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    named = [(call.id, json.loads(call.function.arguments)) for call in choice.message.tool_calls]
    assert named == [("call_a", {"city": "Köln 😀"}), ("call_b", {"city": "Bonn"})]
    (receipt,) = await receipts_of(server)
    assert receipt["outcome"] == "completed" and receipt["charged_eur"] > 0


async def test_half_a_character_in_an_argument_waits_for_its_other_half(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    def chunk(calls: str, reason: str = "null") -> bytes:
        delta = f'{{"tool_calls":[{calls}]}}' if calls else "{}"
        return (
            f'data: {{"id":"g","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}'
            "\n\n"
        ).encode()

    openrouter.script(
        Reply(
            raw=[
                chunk('{"id":"c","function":{"name":"weather","arguments":"\\"\\ud83d"}}'),
                chunk('{"index":0,"function":{"arguments":"\\ude00\\""}}'),
                chunk("", '"tool_calls"'),
                b"data: [DONE]\n\n",
            ]
        )
    )
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER])
    calls = answer.choices[0].message.tool_calls
    assert calls is not None and calls[0].function.arguments == '"😀"'  # type: ignore[union-attr]


async def test_an_answer_by_a_schema_is_read_into_its_class(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=['{"name": "Bonn", ', '"people": 330000}']))
    answer = await client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Bonn", people=330_000)
    sent = openrouter.completions[0].body
    assert sent["response_format"]["json_schema"]["name"] == "City"
    assert sent["provider"]["only"] == ["groq"]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [WEATHER]},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
    ],
)
async def test_what_nobody_understands_for_a_model_is_refused(
    client: AsyncOpenAI, openrouter: FakeOpenRouter, fields: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(
            **{"model": "google/gemma-3-27b-it", "messages": HELLO, **fields}
        )
    assert caught.value.type == "invalid_request_error" and caught.value.param
    assert openrouter.completions == []


async def test_a_format_of_plain_text_needs_nobody_who_knows_formats(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    await client.chat.completions.create(
        model="google/gemma-3-27b-it", messages=HELLO, response_format={"type": "text"}
    )
    assert "response_format" not in openrouter.completions[0].body


async def test_our_own_chat_is_told_nothing_of_calls(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hm"], tool_calls=CALLS.tool_calls))
    async with server.client.post(
        f"{server.url}/v1/ai/chat",
        json={"model_id": MODEL, "message": "Hello"},
        headers=server.bearer(),
    ) as answer:
        raw = await answer.read()
    keys = [next(iter(event)) for event in sse_events(raw)[:-1]]
    assert keys == ["stream", "meta", "content", "usage", "tps"]
    numbers = [
        int(line.rpartition(":")[2]) for line in raw.decode().split("\n") if line.startswith("id: ")
    ]
    assert numbers == [1, 2, 3, 4, 5]


async def test_offered_tools_count_as_a_part_of_the_prompt(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    long = {**WEATHER, "function": {**WEATHER["function"], "description": "x" * 1_200_000}}
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO, tools=[long])
    assert caught.value.code == "context_length_exceeded"
    assert openrouter.completions == []


@pytest.mark.parametrize("place", ["tools", "tool_choice", "response_format"])
async def test_what_is_nested_too_deeply_is_refused(client: AsyncOpenAI, place: str) -> None:
    schema: dict[str, Any] = {}
    for _ in range(300):
        schema = {"items": schema}
    function = {"name": "f", "parameters": schema}
    asked: dict[str, Any] = {
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": function},
        "response_format": {"type": "json_schema", "json_schema": {"name": "f", "schema": schema}},
    }
    fields = {"tools": [WEATHER], place: asked[place]}
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO, **fields)
    assert caught.value.param == place
