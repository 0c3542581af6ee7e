"""The embedded model's supervisor, with the real child and the real model."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from chuk.adapters.gguf import embedded_weights
from chuk.adapters.llama import LlamaServer
from chuk.chat.events import Ended, Finished, UpstreamUsage
from chuk.errors import ContextTooLong, ModelUnavailable
from tests.adapters.local_model import (
    CONTEXT_LENGTH,
    REPOSITORY,
    ask,
    events,
    is_running,
    llama,
    pieces,
)
from tests.harness import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

_PARENT = """
import asyncio, sys
from pathlib import Path
from tests.adapters.local_model import llama

async def main():
    server = llama(Path(sys.argv[1]))
    await server.start()
    await server.ready()
    print(server.process_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the weights are put together once for all tests here."""
    folder = tmp_path_factory.mktemp("data")
    embedded_weights(folder / "models")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(data_dir: Path) -> AsyncIterator[LlamaServer]:
    """The embedded model, answering; for tests that leave it alive."""
    server = llama(data_dir)
    await server.start()
    await server.ready()
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def mortal(data_dir: Path) -> AsyncIterator[LlamaServer]:
    """The embedded model, answering; for tests that end it."""
    server = llama(data_dir)
    await server.start()
    await server.ready()
    yield server
    await server.close()


async def test_it_streams_an_answer_over_the_protocol_of_every_upstream(
    model: LlamaServer,
) -> None:
    happened = await events(model, ("user", "What is the capital of France?"))
    assert len(pieces(happened)) > 3
    assert "Paris" in "".join(pieces(happened))
    [usage] = [event for event in happened if isinstance(event, UpstreamUsage)]
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert Finished("stop") in happened
    assert isinstance(happened[-1], Ended)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the capital of France?", "Paris"),
        ("What is 2+2?", "4"),
        ("Hello", "Hello"),
        ("Was ist die Hauptstadt von Deutschland?", "Berlin"),
        ("Who wrote Romeo and Juliet?", "Shakespeare"),
    ],
)
async def test_simple_questions_get_clean_sensible_answers(
    model: LlamaServer, question: str, expected: str
) -> None:
    answer = "".join(await ask(model, ("user", question)))
    assert expected in answer
    assert answer == answer.strip()
    assert "User" not in answer


async def test_earlier_messages_count(model: LlamaServer) -> None:
    answer = await ask(
        model,
        ("user", "What is the capital of France?"),
        ("assistant", "The capital of France is Paris."),
        ("user", "And of Italy?"),
    )
    assert "Rome" in "".join(answer)


async def test_a_system_prompt_counts(model: LlamaServer) -> None:
    answer = await ask(model, ("system", "The user lives in Berlin."), ("user", "Where do I live?"))
    assert "Berlin" in "".join(answer)


async def test_nobody_is_answered_without_the_key(model: LlamaServer) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    url = f"{model.address().base_url}/chat/completions"
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer guessed"}):
            async with session.post(url, json=body, headers=headers) as response:
                assert response.status == 401


async def test_what_others_write_cannot_be_read_back(model: LlamaServer) -> None:
    root = model.address().base_url.removesuffix("/v1")
    headers = {"Authorization": f"Bearer {model.address().api_key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{root}/slots", headers=headers) as response,
    ):
        assert response.status != 200


async def test_a_conversation_beyond_the_context_is_refused_with_both_counts(
    model: LlamaServer,
) -> None:
    with pytest.raises(ContextTooLong) as raised:
        await ask(model, ("user", "word " * CONTEXT_LENGTH))
    assert raised.value.details["max_tokens"] == CONTEXT_LENGTH
    requested = raised.value.details["requested_tokens"]
    assert isinstance(requested, int)
    assert requested > CONTEXT_LENGTH


async def test_conversations_run_side_by_side(model: LlamaServer) -> None:
    answers = await asyncio.gather(
        *(ask(model, ("user", "What is the capital of France?")) for _ in range(4))
    )
    assert ["Paris" in "".join(answer) for answer in answers] == [True] * 4


async def test_a_killed_child_is_unavailable_and_then_back(mortal: LlamaServer) -> None:
    first, before = mortal.process_id, mortal.address()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not mortal.is_up)
    with pytest.raises(ModelUnavailable) as raised:
        mortal.address()
    retry_after = raised.value.details["retry_after"]
    assert isinstance(retry_after, int)
    assert retry_after >= 1

    await eventually(lambda: mortal.is_up, timeout=30)
    assert mortal.process_id != first
    assert mortal.address().api_key != before.api_key
    assert "Paris" in "".join(await ask(mortal, ("user", "What is the capital of France?")))


async def test_closing_leaves_no_process(mortal: LlamaServer) -> None:
    process = mortal.process_id
    assert process is not None
    await asyncio.gather(mortal.close(), mortal.close())
    await mortal.close()
    assert not is_running(process)
    with pytest.raises(ModelUnavailable):
        mortal.address()
    with pytest.raises(ModelUnavailable):
        await mortal.ready()


async def test_closing_while_it_loads_leaves_no_process(data_dir: Path) -> None:
    server = llama(data_dir)
    await server.start()
    await eventually(lambda: server.process_id is not None)
    process = server.process_id
    assert process is not None
    await server.close()
    assert not is_running(process)


async def test_a_killed_parent_leaves_no_orphan(data_dir: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PARENT,
        str(data_dir),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    async with asyncio.timeout(30):
        # The supervisor's own lines may come first.
        while not (line := await parent.stdout.readline()).strip().isdigit():
            assert line
    child = int(line)
    assert is_running(child)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not is_running(child))


@pytest.mark.parametrize("content", [b"", b"not a model", b"GGUF" + bytes(100)])
async def test_a_broken_model_file_is_explained_and_not_waited_for(
    tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content)
    server = llama(tmp_path, broken)
    await server.start()
    async with asyncio.timeout(30):
        with pytest.raises(ModelUnavailable, match="cannot load the model") as raised:
            await server.ready()
    assert not raised.value.message.endswith(": ")
    # What a client is told names no file.
    with pytest.raises(ModelUnavailable) as told:
        server.address()
    assert told.value.message == ModelUnavailable.sentence
    await server.close()


async def test_a_model_that_says_how_to_chat_is_asked_its_own_way(
    data_dir: Path, tmp_path: Path
) -> None:
    taught = tmp_path / "taught.gguf"
    _with_chat_template(
        embedded_weights(data_dir / "models"), taught, "The capital of France is{# #}"
    )
    server = llama(tmp_path, taught)
    await server.start()
    await server.ready()
    happened = await events(server, ("user", "ignored"), max_tokens=8)
    await server.close()
    [usage] = [event for event in happened if isinstance(event, UpstreamUsage)]
    # None of our worked examples, only the template's own words.
    assert usage.prompt_tokens < 12


def _with_chat_template(source: Path, target: Path, template: str) -> None:
    """Copy a GGUF file with one more entry, put before the others, in its metadata."""
    key = b"tokenizer.chat_template"
    text_type = 8
    entry_size = 8 + len(key) + 4 + 8 + len(template)
    # What follows is aligned to 32 bytes from the file's beginning and must stay so.
    text = template.encode() + b" " * (-entry_size % 32)
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<IQ", text_type, len(text)) + text
    with source.open("rb") as reading, target.open("wb") as writing:
        magic, version, tensors, entries = struct.unpack("<4sIQQ", reading.read(24))
        writing.write(struct.pack("<4sIQQ", magic, version, tensors, entries + 1) + entry)
        shutil.copyfileobj(reading, writing, 1 << 20)
