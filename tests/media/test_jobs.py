"""Slots are few, the queue is bounded, and nobody's many jobs keep out somebody's one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.errors import ServiceUnavailable
from chuk.media.jobs import Jobs

ANNA, BERT, CLEO = uuid4(), uuid4(), uuid4()


class Bench:
    """Jobs that run until they are told to end, and who has run."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.begun: list[UUID] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.Event] = []

    async def bring(self, *users: UUID) -> list[asyncio.Task[None]]:
        """One more job of each of these, in this order."""
        added = []
        for user in users:
            added.append(asyncio.create_task(self._work(user)))
            await settle()
        self.tasks += added
        return added

    async def finish_one(self) -> None:
        """End the job that runs longest."""
        self._ends.pop(0).set()
        await settle()

    async def _work(self, user: UUID) -> None:
        async with self.jobs.slot(user):
            self.begun.append(user)
            end = asyncio.Event()
            self._ends.append(end)
            await end.wait()


async def settle() -> None:
    """Let every task do what it can."""
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def a_bench(at_once: int, waiting: int) -> AsyncIterator[Bench]:
    """Jobs to play with; at its end all of them are gone."""
    bench = Bench(Jobs(at_once, waiting))
    try:
        yield bench
    finally:
        for task in bench.tasks:
            task.cancel()
        await asyncio.gather(*bench.tasks, return_exceptions=True)
        assert (bench.jobs.running, bench.jobs.waiting) == (0, 0)


async def test_no_more_run_at_once_than_there_are_slots() -> None:
    async with a_bench(2, 10) as bench:
        await bench.bring(ANNA, BERT, CLEO)
        assert bench.begun == [ANNA, BERT]
        assert (bench.jobs.running, bench.jobs.waiting) == (2, 1)
        await bench.finish_one()
        assert bench.begun == [ANNA, BERT, CLEO]


async def test_somebody_with_one_job_waits_for_one_slot_however_many_another_has() -> None:
    async with a_bench(2, 100) as bench:
        await bench.bring(*[ANNA] * 20, BERT)
        await bench.finish_one()
        assert bench.begun == [ANNA, ANNA, BERT]


async def test_users_take_turns() -> None:
    async with a_bench(1, 100) as bench:
        await bench.bring(ANNA, *[ANNA] * 3, *[BERT] * 3, *[CLEO] * 3)
        for _ in range(9):
            await bench.finish_one()
        rounds = [set(bench.begun[start : start + 3]) for start in (1, 4, 7)]
        assert rounds == [{ANNA, BERT, CLEO}] * 3


async def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async with a_bench(1, 2) as bench:
        *_, last = await bench.bring(ANNA, ANNA, ANNA, ANNA)
        with pytest.raises(ServiceUnavailable) as caught:
            await last
        assert int(caught.value.headers["Retry-After"]) >= 1
        assert bench.jobs.waiting == 2


async def test_nobody_fills_the_queue_alone() -> None:
    async with a_bench(1, 3) as bench:
        mine = await bench.bring(ANNA, ANNA, ANNA, ANNA)
        (other,) = await bench.bring(BERT)
        assert not other.done()
        with pytest.raises(ServiceUnavailable):
            await mine[-1]
        await bench.finish_one()
        assert bench.begun == [ANNA, BERT]


async def test_one_who_stops_waiting_leaves_the_place_to_others() -> None:
    async with a_bench(1, 2) as bench:
        _, second, _ = await bench.bring(ANNA, BERT, CLEO)
        second.cancel()
        await settle()
        assert bench.jobs.waiting == 1
        await bench.finish_one()
        assert bench.begun == [ANNA, CLEO]


async def test_a_slot_that_comes_in_the_moment_of_leaving_goes_on_to_the_next() -> None:
    async with a_bench(1, 5) as bench:
        first, second, _ = await bench.bring(ANNA, BERT, CLEO)
        first.cancel()
        # The first has given its slot to the second, who has not woken yet.
        await asyncio.sleep(0)
        second.cancel()
        await settle()
        assert bench.begun[-1] == CLEO


async def test_a_failed_job_frees_its_slot() -> None:
    jobs = Jobs(1, 1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with jobs.slot(ANNA):
                raise ZeroDivisionError
    assert jobs.running == 0


async def test_the_longer_jobs_take_the_later_one_is_asked_to_come_back() -> None:
    now = 0.0
    jobs = Jobs(1, 0, clock=lambda: now)

    async def refusal() -> int:
        async with jobs.slot(ANNA):
            with pytest.raises(ServiceUnavailable) as caught:
                async with jobs.slot(BERT):
                    pass
            return int(caught.value.headers["Retry-After"])

    before = await refusal()
    for _ in range(10):
        async with jobs.slot(ANNA):
            now += 30
    assert before < 5 < 20 < await refusal() <= 60


@given(
    steps=st.lists(st.tuples(st.sampled_from(["bring", "leave", "finish"]), st.integers(0, 5))),
    at_once=st.integers(1, 3),
    waiting=st.integers(0, 4),
)
def test_whatever_happens_slots_are_neither_lost_nor_given_twice(
    steps: list[tuple[str, int]], at_once: int, waiting: int
) -> None:
    users = [ANNA, BERT, CLEO]

    async def play() -> None:
        async with a_bench(at_once, waiting) as bench:
            for what, which in steps:
                if what == "bring":
                    await bench.bring(users[which % 3])
                elif what == "leave" and bench.tasks:
                    bench.tasks[which % len(bench.tasks)].cancel()
                    await settle()
                elif what == "finish" and bench.jobs.running:
                    await bench.finish_one()
                assert bench.jobs.running <= at_once
                assert bench.jobs.waiting <= waiting
                assert bench.jobs.running == at_once or not bench.jobs.waiting

    asyncio.run(play())
