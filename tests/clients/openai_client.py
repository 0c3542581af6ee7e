"""OpenAI's library for Python, the newest, as people use it: without a word of where or who."""

from __future__ import annotations

import json
import os

import pydantic
import pytest
from openai import AuthenticationError, BadRequestError, NotFoundError, OpenAI

MODEL = os.environ["CLIENT_MODEL"]
VECTORS = os.environ["CLIENT_EMBEDDING_MODEL"]
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


class City(pydantic.BaseModel):
    """What the model shall tell of."""

    name: str
    people: int


def chat(client: OpenAI) -> None:
    """Whole, streamed, with a tool and by a schema."""
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert "Hello there" in answer.choices[0].message.content
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Hello there" in text and chunks[-1].usage.total_tokens > 0

    called = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER])
    said = called.choices[0].message
    (call,) = said.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Bonn"}
    told = {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}
    answer = client.chat.completions.create(
        model=MODEL, messages=[*HELLO, said, told], tools=[WEATHER]
    )
    assert "Sunny." in answer.choices[0].message.content
    parsed = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Bonn", people=7)


def everything_else(client: OpenAI) -> None:
    """Models, vectors, speech, hearing and pictures."""
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL
    vectors = client.embeddings.create(model=VECTORS, input=["one", "two"]).data
    assert len(vectors) == 2 and len(vectors[0].embedding) > 100
    spoken = client.audio.speech.create(
        model="tts-1", voice="nova", input="The quick brown fox.", response_format="wav"
    )
    heard = client.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", spoken.content), response_format="verbose_json"
    )
    assert "brown fox" in heard.text.lower() and heard.segments
    picture = client.images.generate(prompt="a fox", size="256x256")
    assert picture.data[0].url.startswith("http")


def errors(client: OpenAI) -> None:
    """The exceptions that people catch."""
    with OpenAI(api_key="sk-wrong") as stranger, pytest.raises(AuthenticationError):
        stranger.models.list()
    with pytest.raises(NotFoundError):
        client.chat.completions.create(model="nobody/nothing", messages=HELLO)
    with pytest.raises(BadRequestError):
        client.chat.completions.create(model=MODEL, messages=HELLO, temperature=9)


if __name__ == "__main__":
    with OpenAI() as official:
        chat(official)
        everything_else(official)
        errors(official)
