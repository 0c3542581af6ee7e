"""Deletions across crashes, restarts and several processes on one store."""

from __future__ import annotations

import asyncio

import pytest

from chuk.accounts.ports import DeletionStore
from chuk.errors import Forbidden, ProviderError
from tests.accounts.deletions import USER, Process, Time
from tests.leaders import Elected
from tests.services.catalogs import Waits

STEPS = ["turns", "subscription", "files", "records", "sign_in"]
OWN_STEPS = ["turns", "subscription", "files", "sign_in"]


@pytest.mark.parametrize("last_step", OWN_STEPS)
async def test_after_a_crash_in_a_step_the_next_process_goes_on_from_there(
    deletion_store: DeletionStore, time: Time, last_step: str
) -> None:
    first = Process(deletion_store, time, "first")
    first.step(last_step).gate.clear()
    request = asyncio.create_task(first.deletions.request(USER))
    await first.step(last_step).began.wait()
    await first.die()
    assert last_step in await request

    second = Process(deletion_store, time, "second")
    await second.deletions.run_once()
    # The first one might still live: its lease has not ended.
    assert second.journal == []
    time.pass_(61)
    await second.deletions.run_once()
    assert first.journal + second.journal == OWN_STEPS
    assert await second.deletions.request(USER) == []


@pytest.mark.parametrize("lost", STEPS)
async def test_a_crash_before_a_step_is_noted_runs_that_step_again_and_no_other(
    deletion_store: DeletionStore, time: Time, lost: str
) -> None:
    first = Process(deletion_store, time, "first")

    class DiesAt(list[str]):
        """The journal of a process that dies as this step's end is about to be noted."""

        def append(self, name: str) -> None:
            super().append(name)
            if name == lost:
                first.line.cut = ("mark_done", "retry_at", "finish")

    journal = DiesAt()
    for name in OWN_STEPS:
        first.step(name).journal = journal
    if lost == "records":
        # The real step writes no journal: it dies as the step before it would begin the next.
        first.line.deaf = ("erase_records",)
        first.line.cut = ("retry_at",)
    assert await first.deletions.request(USER) == STEPS[STEPS.index(lost) :]

    time.pass_(61)
    second = Process(deletion_store, time, "second")
    await second.deletions.run_once()
    assert second.journal == [name for name in STEPS[STEPS.index(lost) :] if name in OWN_STEPS]
    assert await second.deletions.request(USER) == []


async def test_a_crash_before_the_end_is_noted_only_needs_the_end(
    deletion_store: DeletionStore, time: Time
) -> None:
    first = Process(deletion_store, time, "first")
    first.line.cut = ("finish", "retry_at")
    await first.deletions.request(USER)
    time.pass_(61)
    second = Process(deletion_store, time, "second")
    await second.deletions.run_once()
    assert second.journal == []
    assert await deletion_store.begin(USER) is None


async def test_a_process_that_stops_politely_leaves_its_work_to_be_taken_at_once(
    deletion_store: DeletionStore, time: Time
) -> None:
    first = Process(deletion_store, time, "first")
    first.files.gate.clear()
    await first.deletions.start()
    request = asyncio.create_task(first.deletions.request(USER))
    await first.files.began.wait()
    await first.deletions.close()
    assert await request == STEPS[2:]
    second = Process(deletion_store, time, "second")
    await second.deletions.run_once()
    assert first.journal + second.journal == OWN_STEPS


async def test_two_processes_asked_at_once_erase_once(
    deletion_store: DeletionStore, time: Time
) -> None:
    processes = [Process(deletion_store, time, name) for name in ("one", "two")]
    answers = await asyncio.gather(*(each.deletions.request(USER) for each in processes * 5))
    # Who does not hold the lease cannot know how far the other one is by now.
    assert all(answer == STEPS[len(STEPS) - len(answer) :] for answer in answers)
    for each in processes:
        await each.deletions.run_once()
    assert sorted(processes[0].journal + processes[1].journal) == sorted(OWN_STEPS)
    assert [await each.deletions.request(USER) for each in processes] == [[], []]
    for each in processes:
        with pytest.raises(Forbidden):
            await each.locks.check(USER)


async def test_the_other_process_takes_over_what_failed_here(
    deletion_store: DeletionStore, time: Time
) -> None:
    one, two = [Process(deletion_store, time, name) for name in ("one", "two")]
    one.subscription.fails_with = [ProviderError()]
    assert await one.deletions.request(USER) == STEPS[1:]
    await two.deletions.run_once()
    assert two.journal == []
    time.pass_(5)
    await two.deletions.run_once()
    assert two.journal == OWN_STEPS[1:]
    assert two.stopped == [USER]
    assert await one.deletions.request(USER) == []


async def test_a_follower_leaves_what_is_due_to_the_leader_until_it_leads(
    deletion_store: DeletionStore, time: Time
) -> None:
    await deletion_store.begin(USER)
    waits, leadership = Waits(), Elected()
    process = Process(deletion_store, time, "one", sleep=waits, leadership=leadership)
    await process.deletions.start()
    await waits.next()
    assert process.line.count("claim_due") == 0
    leadership.leads = True
    waits.end()
    await waits.next()
    await process.deletions.run_once()
    await process.deletions.close()
    assert process.journal == OWN_STEPS


async def test_a_follower_that_is_asked_erases_by_itself(
    deletion_store: DeletionStore, time: Time
) -> None:
    process = Process(deletion_store, time, "one", leadership=Elected())
    assert await process.deletions.request(USER) == []
    assert process.journal == OWN_STEPS
    await process.deletions.close()
