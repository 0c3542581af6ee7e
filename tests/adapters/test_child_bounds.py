"""A child works within its bounds: it sees, says and takes no more than it may."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from chuk.adapters.children import ChildFailed, ChildRefused, ChildTimeout
from tests.adapters.child_jobs import (
    Once,
    a_worker,
    ask,
    is_alive,
)

pytestmark = pytest.mark.usefixtures("temporary_folder")


async def test_a_job_has_a_process_of_its_own_and_none_of_our_environment(
    once: Once,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "key-of-this-test")
    told = await once("tell")
    assert told["process"] != os.getpid()
    assert told["group"] == told["process"]
    assert "GROQ_API_KEY" not in told["environment"]
    assert not Path(told["folder"]).exists()
    assert not is_alive(told["process"])


async def test_a_child_leaves_the_core_to_the_server_as_soon_as_that_wants_it(once: Once) -> None:
    async with a_worker() as worker:
        for told in (await once("tell"), await ask(worker, "tell")):
            assert told["policy"] == os.SCHED_IDLE
            # Between two sessions the kernel may share the core evenly, whatever the policy.
            assert told["session"] == os.getsid(0)


async def test_what_is_printed_is_no_answer_and_goes_nowhere(
    once: Once,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert await once("print") == {"said": "nothing"}
    async with a_worker() as worker:
        assert await ask(worker, "print") == {"said": "nothing"}
        assert await ask(worker, "echo", say="ä\n\0🦓") == {"said": "ä\n\0🦓"}
    printed = capfd.readouterr()
    assert "somebody" not in printed.out + printed.err


async def test_a_refusal_comes_with_its_code_its_sentence_and_its_details(once: Once) -> None:
    with pytest.raises(ChildRefused) as caught:
        await once("corrupt")
    assert (caught.value.code, caught.value.message) == ("CORRUPT_FILE", "It has no end.")
    with pytest.raises(ChildRefused) as caught:
        await once("unsupported")
    assert caught.value.details == {"format": "exe", "supported": ["pdf"]}


@pytest.mark.parametrize(
    ("todo", "more"),
    [
        ("stumble", {}),
        ("half_a_letter", {}),
        ("die", {}),
        ("leave", {"code": 0}),
        ("leave", {"code": 3}),
        ("gobble", {}),
        ("write_much", {}),
        ("open_many", {}),
    ],
)
async def test_every_other_end_is_one_error(once: Once, todo: str, more: dict[str, Any]) -> None:
    with pytest.raises(ChildFailed) as caught:
        await once(todo, **more)
    assert "somebody" not in str(caught.value)
    async with a_worker() as worker:
        with pytest.raises(ChildFailed):
            await ask(worker, todo, **more)
        assert (await ask(worker, "echo", say="on we go"))["said"] == "on we go"


async def test_a_module_that_is_not_there_is_a_failure(once: Once) -> None:
    with pytest.raises(ChildFailed):
        await once("tell", module="tests.adapters.nowhere")


async def test_time_on_the_processor_is_bounded(once: Once) -> None:
    with pytest.raises(ChildFailed) as caught:
        await once("spin", cpu=1, timeout=60)
    assert not isinstance(caught.value, ChildTimeout)
    async with a_worker(cpu=1) as worker:
        for _ in range(2):
            with pytest.raises(ChildFailed) as caught:
                await ask(worker, "spin", timeout=60)
            assert not isinstance(caught.value, ChildTimeout)


async def test_no_child_has_a_network(once: Once) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = await once("connect", port=port)
        assert told["error"] == errno.EACCES
        async with a_worker() as worker:
            assert (await ask(worker, "connect", port=port))["error"] == errno.EACCES
