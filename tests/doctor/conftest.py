"""A server's settings, looked at without starting it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding
from chuk.settings import load

Examine = Callable[..., AbstractAsyncContextManager[Examined]]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """What the checks are given, for these variables: `examine(NAME="value")`."""

    @asynccontextmanager
    async def examined(**environ: str) -> AsyncIterator[Examined]:
        own = {"CHUK_DATA_DIR": str(tmp_path / "data")}
        settings = load({**own, **environ}, directory=tmp_path)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            yield Examined(settings, session)

    return examined


def shown(findings: list[Finding]) -> list[tuple[str, str]]:
    """Verdict and sentence of each. What is not well says what to do."""
    for each in findings:
        assert bool(each.advice) == (each.verdict != "ok"), each
    return [(each.verdict.value, each.says) for each in findings]


def verdicts(findings: list[Finding]) -> list[str]:
    """Only the verdicts."""
    return [verdict for verdict, _ in shown(findings)]


def says(findings: list[Finding], verdict: str) -> str:
    """The one sentence with this verdict."""
    (found,) = [text for kind, text in shown(findings) if kind == verdict]
    return found
