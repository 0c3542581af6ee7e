"""LiteLLM's library with the server as an endpoint like OpenAI's."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import litellm
import pytest

AT = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
MODEL = f"openai/{os.environ['CLIENT_MODEL']}"
VECTORS = f"openai/{os.environ['CLIENT_EMBEDDING_MODEL']}"
HELLO = [{"role": "user", "content": "Hello there"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CITY = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}


def ask(**fields: Any) -> Any:
    """One completion."""
    return litellm.completion(**{"model": MODEL, "messages": HELLO, **AT, **fields})


def chat() -> None:
    """Whole, streamed, with a tool and by a schema."""
    answer = ask()
    assert "Hello there" in answer.choices[0].message.content
    assert answer.usage.total_tokens > 0
    chunks = list(ask(stream=True, stream_options={"include_usage": True}))
    whole = litellm.stream_chunk_builder(chunks, messages=HELLO)
    assert "Hello there" in whole.choices[0].message.content and whole.usage.total_tokens > 0

    said = ask(tools=[WEATHER]).choices[0].message
    (call,) = said.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Bonn"}
    told = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    answer = ask(messages=[*HELLO, said.model_dump(), told], tools=[WEATHER])
    assert "Sunny." in answer.choices[0].message.content
    streamed = litellm.stream_chunk_builder(list(ask(tools=[WEATHER], stream=True)))
    assert streamed.choices[0].message.tool_calls[0].function.name == "weather"
    answer = ask(response_format=CITY)
    assert json.loads(answer.choices[0].message.content) == {"name": "Bonn"}


def everything_else() -> None:
    """Vectors, speech, hearing and pictures."""
    found = litellm.embedding(model=VECTORS, input=["one", "two"], **AT).data
    assert len(found) == 2 and len(found[0]["embedding"]) > 100
    spoken = litellm.speech(model="openai/tts-1", voice="alloy", input="The quick brown fox.", **AT)
    file = io.BytesIO(spoken.content)
    file.name = "speech.mp3"
    heard = litellm.transcription(model="openai/whisper-1", file=file, **AT)
    assert "brown fox" in heard.text.lower()
    drawn = litellm.image_generation(
        model="openai/dall-e-3", prompt="a fox", size="1024x1024", **AT
    )
    assert drawn.data[0].url.startswith("http")


def errors() -> None:
    """LiteLLM's own, which are made of the answers' shapes."""
    with pytest.raises(litellm.AuthenticationError):
        ask(api_key="sk-wrong")
    with pytest.raises(litellm.NotFoundError):
        ask(model="openai/nobody/nothing")
    with pytest.raises(litellm.BadRequestError):
        ask(temperature=9)
    with pytest.raises(litellm.ContextWindowExceededError):
        ask(messages=[{"role": "user", "content": "word " * 300_000}])


if __name__ == "__main__":
    chat()
    everything_else()
    errors()
