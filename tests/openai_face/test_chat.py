"""Chat by OpenAI's library: whole and streamed, what goes to the model and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, InternalServerError, NotFoundError

from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, sse_events
from tests.openai_face.clients import HELLO, PNG_URL, client_of, receipts_of


async def streamed(
    client: AsyncOpenAI, chunks: list[Any] | None = None, **fields: Any
) -> list[Any]:
    """All chunks of a streamed answer; put into `chunks` as they come."""
    chunks = [] if chunks is None else chunks
    stream = await client.chat.completions.create(
        **{"model": MODEL, "messages": HELLO, **fields}, stream=True
    )
    async for chunk in stream:
        chunks.append(chunk)
    return chunks


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_a_whole_answer_has_openais_shape(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hel", 'lo "you"\n', "😀"], reasoning=["Hm", "m"]))
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion"
    assert answer.model == MODEL and answer.created > 1_700_000_000
    (choice,) = answer.choices
    assert choice.message.content == 'Hello "you"\n😀' and choice.message.role == "assistant"
    assert choice.message.tool_calls is None and choice.finish_reason == "stop"
    assert choice.message.model_extra == {"reasoning_content": "Hmm"}
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1, 5)
    assert answer.model_extra is not None
    assert answer.model_extra["chuk"]["provider"] == "deepinfra/fp8"
    assert answer.model_extra["chuk"]["cost_eur"] > 0


@pytest.mark.parametrize(
    ("reason", "fields"),
    [("stop", {"stop": ["Hel"]}), ("length", {"max_completion_tokens": 3})],
)
async def test_an_answer_for_which_there_was_no_room_is_empty_and_paid_for(
    server: RunningServer,
    client: AsyncOpenAI,
    openrouter: FakeOpenRouter,
    reason: str,
    fields: dict[str, Any],
) -> None:
    cost = {"prompt_tokens": 90_000, "completion_tokens": 1, "total_tokens": 90_001, "cost": 0.02}
    openrouter.script(*[Reply(content=[], finish_reason=reason, usage=cost)] * 2)
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO, **fields)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("", reason)
    assert answer.model_extra is not None
    assert answer.model_extra["chuk"]["cost_eur"] == pytest.approx(0.02 * 0.92)
    *chunks, ending, last = await streamed(client, **fields)
    assert text_of(chunks) == "" and ending.choices[0].finish_reason == reason
    assert last.model_extra["chuk"]["cost_eur"] == pytest.approx(0.02 * 0.92)
    assert len(openrouter.completions) == 2
    assert [receipt["charged_eur"] for receipt in await receipts_of(server)] == [0.0184, 0.0184]


async def test_an_empty_answer_that_nobody_asked_for_is_a_failure_and_free(
    server: RunningServer, client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=[], finish_reason="stop"))
    with pytest.raises(InternalServerError):
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert [receipt["charged_eur"] for receipt in await receipts_of(server)] == [0]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
async def test_a_streamed_answer_comes_in_chunks_and_ends_with_its_usage(
    client: AsyncOpenAI, openrouter: FakeOpenRouter, options: dict[str, Any]
) -> None:
    openrouter.script(Reply(content=["a"] * 9 + ['"b"'], pieces_per_write=4, reasoning=["Hm"]))
    first, *chunks, ending, last = await streamed(client, **options)
    assert first.choices[0].delta.role == "assistant" and first.choices[0].delta.content == ""
    assert text_of(chunks) == "aaaaaaaaa" + '"b"'
    assert chunks[0].choices[0].delta.model_extra == {"reasoning_content": "Hm"}
    assert len(chunks) == 11
    assert {chunk.id for chunk in chunks} == {first.id}
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert ending.choices[0].finish_reason == "stop"
    assert last.choices == [] and last.usage.total_tokens == 12
    assert last.model_extra["chuk"]["provider"] == "deepinfra/fp8"


async def test_the_stream_is_framed_as_openai_does(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hi"]))
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    async with server.client.post(
        f"{server.url}/v1/chat/completions", json=body, headers=server.bearer()
    ) as answer:
        assert answer.content_type == "text/event-stream"
        raw = await answer.read()
    blocks = raw.decode().removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    events = sse_events(raw)
    assert events[1] == {
        "id": events[0]["id"],
        "object": "chat.completion.chunk",
        "created": events[0]["created"],
        "model": MODEL,
        "choices": [
            {"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None}
        ],
    }
    assert events[-1] == "[DONE]"


async def test_all_that_was_asked_for_reaches_the_model(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    await client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": "One"}]},
            {"role": "assistant", "content": "Two"},
            {"role": "user", "content": "Three", "name": "somebody"},
        ],
        max_completion_tokens=77,
        temperature=0.25,
        top_p=0.5,
        seed=-7,
        stop=["END"],
        frequency_penalty=-0.5,
        presence_penalty=1.5,
        reasoning_effort="low",
        user="ignored",
        store=True,
    )
    (sent,) = [request.body for request in openrouter.completions]
    assert sent["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two"},
        {"role": "user", "content": "Three"},
    ]
    asked = {
        "max_tokens": 77,
        "temperature": 0.25,
        "top_p": 0.5,
        "seed": -7,
        "stop": ["END"],
        "frequency_penalty": -0.5,
        "presence_penalty": 1.5,
        "reasoning": {"effort": "low"},
    }
    assert {name: sent[name] for name in asked} == asked
    assert not {"user", "store", "tools", "response_format"} & sent.keys()
    assert sent["provider"]["zdr"] is True


async def test_what_was_not_asked_for_is_left_to_the_model(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    await client.chat.completions.create(model=MODEL, messages=HELLO)
    (sent,) = [request.body for request in openrouter.completions]
    assert not {"temperature", "top_p", "seed", "stop"} & sent.keys()
    assert sent["max_tokens"] == 16_384


async def test_the_older_name_of_the_limit_counts_too(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply())
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2)
    assert answer.choices[0].finish_reason == "length"


async def test_text_and_pictures_keep_their_order(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    picture = {"type": "image_url", "image_url": {"url": PNG_URL}}
    parts: list[Any] = [
        {"type": "text", "text": "This:"},
        picture,
        {"type": "text", "text": "or this:"},
        picture,
        {"type": "text", "text": "?"},
    ]
    await client.chat.completions.create(
        model="google/gemma-3-27b-it", messages=[{"role": "user", "content": parts}]
    )
    assert openrouter.completions[0].body["messages"] == [{"role": "user", "content": parts}]


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ("groq", ["groq"]),
        ({"order": ["groq"]}, ["groq"]),
        ({"order": ["unknown", "groq"]}, ["groq"]),
        (None, ["deepinfra/fp8"]),
        ({"order": ["groq"], "allow_fallbacks": True}, ["groq", "deepinfra/fp8"]),
    ],
)
async def test_a_provider_can_be_chosen(
    client: AsyncOpenAI, openrouter: FakeOpenRouter, choice: Any, asked: list[str]
) -> None:
    await client.chat.completions.create(
        model=MODEL, messages=HELLO, extra_body={"provider": choice}
    )
    routing = openrouter.completions[0].body["provider"]
    assert routing["only"][0] == asked[0]


async def test_a_provider_that_is_not_offered_is_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.chat.completions.create(
            model=MODEL, messages=HELLO, extra_body={"provider": "chutes/bf16"}
        )
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"temperature": 3}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"extra_body": {"stream": "yes"}}, "stream"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    client: AsyncOpenAI, openrouter: FakeOpenRouter, fields: dict[str, Any], parameter: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **fields})
    assert caught.value.param == parameter and caught.value.type == "invalid_request_error"
    assert openrouter.completions == []


@pytest.mark.parametrize(
    ("model", "url"), [(MODEL, PNG_URL), ("google/gemma-3-27b-it", "https://example.org/cat.png")]
)
async def test_pictures_that_cannot_be_seen_are_refused(
    client: AsyncOpenAI, openrouter: FakeOpenRouter, model: str, url: str
) -> None:
    picture: Any = {"type": "image_url", "image_url": {"url": url}}
    with pytest.raises(BadRequestError):
        await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": [picture]}, *HELLO]
        )
    assert openrouter.completions == []


async def test_an_error_inside_a_stream_is_raised_by_the_library(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hal"], stream_error={"code": 502, "message": "x"}))
    chunks: list[Any] = []
    with pytest.raises(APIError) as caught:
        await streamed(client, chunks)
    assert text_of(chunks) == "Hal"
    assert chunks[-1].usage is not None
    assert caught.value.code == "provider_error"


async def test_a_whole_answer_that_breaks_off_is_an_error_that_nobody_repeats(
    server: RunningServer, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(Reply(content=["Hal", "f"], break_after=1))
    async with client_of(server, max_retries=3) as client:
        with pytest.raises(InternalServerError) as caught:
            await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "stream_interrupted"
    assert len(openrouter.completions) == 1


async def test_what_moderation_cut_off_says_so_and_is_an_answer(
    client: AsyncOpenAI, openrouter: FakeOpenRouter
) -> None:
    openrouter.script(*[Reply(content=["Well"], finish_reason="content_filter")] * 2)
    whole = await client.chat.completions.create(model=MODEL, messages=HELLO)
    assert whole.choices[0].finish_reason == "content_filter"
    assert whole.choices[0].message.content == "Well"
    *_, ending, _usage = await streamed(client)
    assert ending.choices[0].finish_reason == "content_filter"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_turn_and_pays_what_it_took(
    server: RunningServer, client: AsyncOpenAI, openrouter: FakeOpenRouter, *, stream: bool
) -> None:
    openrouter.script(Reply(content=["word "] * 50, stall_after=20))

    async def ask() -> None:
        answer: Any = await client.chat.completions.create(
            model=MODEL, messages=HELLO, stream=stream
        )
        async for _ in answer:
            pass

    asking = asyncio.create_task(ask())
    await openrouter.wait_until(
        lambda: bool(openrouter.completions) and openrouter.completions[0].pieces_sent == 20
    )
    asking.cancel()
    await openrouter.wait_for_disconnect()
    async with asyncio.timeout(30):
        while not (receipts := await receipts_of(server)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    (receipt,) = receipts
    assert receipt["outcome"] == "cancelled" and receipt["charged_eur"] > 0
