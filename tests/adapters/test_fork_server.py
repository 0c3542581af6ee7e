"""The helper that one-shot children are forked from may hang: nobody else does because of it."""

from __future__ import annotations

import asyncio

import pytest

from chuk.adapters.children import ChildFailed, ChildTimeout
from chuk.adapters.fork_server import ForkServer

pytestmark = pytest.mark.usefixtures("temporary_folder")

HANGS = ["tests.adapters.endless_import"]


async def a_job(forks: ForkServer, *, timeout: float = 60) -> None:
    """Any job."""
    await forks.run("nobody.gets.here", {}, timeout=timeout, memory=2**30, cpu=20)


async def test_a_helper_that_hangs_in_its_start_is_ended_and_another_one_tried() -> None:
    forks = ForkServer(HANGS, patience=1.0)
    for _ in range(2):
        with pytest.raises(ChildFailed, match="cannot be started"):
            await a_job(forks)
    await forks.close()


async def test_a_helper_that_hangs_in_its_start_does_not_hold_up_the_end() -> None:
    forks = ForkServer(HANGS)
    with pytest.raises(ChildTimeout):
        await a_job(forks, timeout=1)
    async with asyncio.timeout(20):
        await forks.close()
