"""LangChain's own OpenAI classes, as people use them."""

from __future__ import annotations

import os

import openai
import pydantic
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

MODEL = os.environ["CLIENT_MODEL"]
VECTORS = os.environ["CLIENT_EMBEDDING_MODEL"]


class City(pydantic.BaseModel):
    """What the model shall tell of."""

    name: str
    people: int


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}."


def chat(model: ChatOpenAI) -> None:
    """Whole, streamed, with a tool and by a schema."""
    answer = model.invoke("Hello there")
    assert "Hello there" in answer.content
    assert answer.usage_metadata["total_tokens"] > 0
    assert answer.response_metadata["finish_reason"] == "stop"
    chunks = list(model.stream("Hello there"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert "Hello there" in whole.content and len(chunks) > 3
    assert whole.usage_metadata["total_tokens"] > 0

    talk = [HumanMessage("How is the weather?")]
    said = model.bind_tools([weather]).invoke(talk)
    (call,) = said.tool_calls
    assert call["name"] == "weather" and call["args"] == {"city": "Bonn"}
    talk += [said, ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert "Sunny in Bonn." in model.bind_tools([weather]).invoke(talk).content
    for way in ("json_schema", "function_calling"):
        told = model.with_structured_output(City, method=way).invoke("Which city?")
        assert told == City(name="Bonn", people=7)


def vectors() -> None:
    """Embeddings; by itself LangChain would send tokens of OpenAI's tokenizer."""
    embeddings = OpenAIEmbeddings(model=VECTORS, check_embedding_ctx_length=False)
    found = embeddings.embed_documents(["one", "two"])
    assert len(found) == 2 and len(found[0]) > 100


def errors() -> None:
    """They are those of OpenAI's library."""
    with pytest.raises(openai.AuthenticationError):
        ChatOpenAI(model=MODEL, api_key="sk-wrong").invoke("Hello")
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(model="nobody/nothing").invoke("Hello")


if __name__ == "__main__":
    chat(ChatOpenAI(model=MODEL, max_retries=0))
    vectors()
    errors()
