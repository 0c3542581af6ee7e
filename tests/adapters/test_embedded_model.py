"""The language model of the machine's host: one process, and everybody knows where it listens."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chuk.adapters.embedded.host import Host
from chuk.adapters.embedded.remote_model import RemoteModel
from chuk.adapters.embedded.wire import listening_at
from chuk.adapters.gguf import embedded_weights
from chuk.errors import ModelUnavailable
from tests.adapters.local_model import CONTEXT_LENGTH, ask, is_running
from tests.harness import eventually
from tests.supervision.crews import MODEL_CHILD, below, of_module

QUESTION = ("user", "What is the capital of France?")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the weights are put together once for all tests here."""
    folder = tmp_path_factory.mktemp("data")
    embedded_weights(folder / "models")
    return folder


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """A host that ends a model as soon as nobody follows it."""
    running = Host(model_idle=0.0)
    await running.start(listening_at(tmp_path / "host"))
    yield running
    await running.close()


def a_model(folder: Path, data_dir: Path, model: Path | None = None) -> RemoteModel:
    """One as each process of the server has it, not started yet."""
    return RemoteModel(
        folder / "host",
        data_dir=data_dir,
        model_path=model,
        context_length=CONTEXT_LENGTH,
        threads=1,
    )


def processes() -> set[int]:
    """Those that hold a language model."""
    return of_module(MODEL_CHILD, below(os.getpid()))


@pytest.mark.usefixtures("host")
async def test_two_who_ask_have_one_process_and_both_learn_where_the_next_one_is(
    tmp_path: Path, data_dir: Path
) -> None:
    models = [a_model(tmp_path, data_dir) for _ in range(2)]
    for model in models:
        with pytest.raises(ModelUnavailable):
            model.address()
        await model.start()
    for model in models:
        await model.ready()
        assert "Paris" in "".join(await ask(model, QUESTION))
    (first,) = processes()
    before = models[0].address()
    assert models[1].address() == before

    os.kill(first, signal.SIGKILL)
    await eventually(lambda: not any(model.is_up for model in models))
    with pytest.raises(ModelUnavailable) as raised:
        models[0].address()
    assert raised.value.details["retry_after"] == 1
    await eventually(lambda: all(model.is_up for model in models), timeout=30)
    assert models[0].address() == models[1].address() != before
    (second,) = processes()

    await models[0].close()
    assert models[1].is_up and not models[0].is_up
    with pytest.raises(ModelUnavailable):
        await models[0].ready()
    assert is_running(second)
    await models[1].close()
    await models[1].close()
    # Nobody follows it any more.
    await eventually(lambda: not is_running(second), timeout=15)


@pytest.mark.usefixtures("host")
async def test_why_a_model_cannot_be_loaded_reaches_who_asks_for_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    model = a_model(tmp_path, tmp_path, broken)
    await model.start()
    async with asyncio.timeout(30):
        with pytest.raises(ModelUnavailable, match="cannot load the model"):
            await model.ready()
    await model.close()


async def test_a_host_that_goes_takes_the_model_with_it_until_it_is_back(
    tmp_path: Path, data_dir: Path
) -> None:
    model = a_model(tmp_path, data_dir)
    await model.start()
    for _ in range(2):
        host = Host()
        await host.start(listening_at(tmp_path / "host"))
        await eventually(lambda: model.is_up, timeout=30)
        (process,) = processes()
        await host.close()
        (tmp_path / "host").unlink()
        assert not is_running(process)
        await eventually(lambda: not model.is_up)
        with pytest.raises(ModelUnavailable):
            model.address()
    await model.close()
