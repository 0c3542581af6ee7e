"""This clock beside that of a service."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from chuk.doctor import clock
from tests.adapters.raw_upstream import raw_upstream, says
from tests.doctor.conftest import Examine, verdicts
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import openrouter_environ


async def test_a_service_that_agrees_is_well(examine: Examine, openrouter: FakeOpenRouter) -> None:
    async with examine(**openrouter_environ(openrouter)) as examined:
        assert verdicts(await clock.look(examined)) == ["ok"]


@pytest.mark.parametrize(
    ("off", "expected", "word"),
    [(0, "ok", "agrees"), (15, "warn", "behind"), (-15, "warn", "ahead"), (90, "fail", "behind")],
)
async def test_a_clock_that_is_off_breaks_tokens(
    examine: Examine, off: int, expected: str, word: str
) -> None:
    date = formatdate(time.time() + off, usegmt=True).encode()
    answer = b"HTTP/1.1 401 Unauthorized\r\nDate: %b\r\nContent-Length: 0\r\n\r\n" % date
    async with (
        raw_upstream(says(answer)) as url,
        examine(SUPABASE_URL=url) as examined,
    ):
        (finding,) = await clock.look(examined)
    assert verdicts([finding]) == [expected]
    assert word in finding.says


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
async def test_the_next_service_is_asked_where_one_does_not_tell(
    examine: Examine, openrouter: FakeOpenRouter, answer: bytes
) -> None:
    async with raw_upstream(says(answer)) as url:
        async with examine(SUPABASE_URL=url) as examined:
            assert verdicts(await clock.look(examined)) == ["warn"]
        async with examine(SUPABASE_URL=url, **openrouter_environ(openrouter)) as examined:
            assert verdicts(await clock.look(examined)) == ["ok"]


async def test_without_services_there_is_nothing_to_compare(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await clock.look(examined)) == ["ok"]
