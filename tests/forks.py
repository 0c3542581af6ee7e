"""Lets a process of its own answer one request, for tests that have no server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chuk.adapters.fork_server import ForkServer


async def run_once(
    module: str, request: Mapping[str, Any], *, timeout: float, memory: int, cpu: float
) -> dict[str, Any]:
    """See `chuk.adapters.children.RunOnce`; what forks the process is gone afterwards."""
    forks = ForkServer()
    try:
        return await forks.run(module, request, timeout=timeout, memory=memory, cpu=cpu)
    finally:
        await forks.close()
