"""Deletions: begun once, worked on step by step, finished whatever happens in between."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from chuk.accounts.deletion import DeletionPace
from chuk.accounts.ports import DeletionStore
from chuk.errors import Forbidden, ProviderError, ServiceUnavailable
from tests.accounts.deletions import OTHER, USER, Process, Time
from tests.harness import eventually
from tests.services.catalogs import Waits

STEPS = ["turns", "subscription", "files", "records", "sign_in"]
OWN_STEPS = ["turns", "subscription", "files", "sign_in"]


@pytest.fixture
def process(deletion_store: DeletionStore, time: Time) -> Process:
    return Process(deletion_store, time, "one")


async def test_when_nothing_stands_in_the_way_all_is_done_at_once_and_in_order(
    process: Process,
) -> None:
    assert await process.deletions.request(USER) == []
    assert process.journal == OWN_STEPS
    names = [name for _, name in process.line.calls("mark_done")]
    assert names == STEPS
    assert process.line.count("erase_records") == process.line.count("finish") == 1
    assert not process.deletions.failures


async def test_the_account_is_locked_before_anything_is_erased(process: Process) -> None:
    process.turns.gate.clear()
    request = asyncio.create_task(process.deletions.request(USER))
    await process.turns.began.wait()
    assert process.stopped == [USER]
    assert await process.line.is_locked(USER)
    with pytest.raises(Forbidden):
        await process.locks.check(USER)
    await process.locks.check(OTHER)
    process.turns.gate.set()
    assert await request == []


async def test_what_takes_longer_goes_on_after_the_answer(
    deletion_store: DeletionStore, time: Time
) -> None:
    process = Process(deletion_store, time, "one", pace=DeletionPace(at_once=0))
    process.files.gate.clear()
    pending = await process.deletions.request(USER)
    assert pending == STEPS[-len(pending) :]
    assert "files" in pending
    await process.files.began.wait()
    assert await process.deletions.request(USER) == STEPS[2:]
    process.files.gate.set()
    await process.deletions.run_once()
    assert await process.deletions.request(USER) == []
    assert process.journal == OWN_STEPS


@pytest.mark.parametrize("failing", OWN_STEPS)
async def test_a_step_that_fails_is_tried_again_and_the_done_ones_are_not(
    process: Process, time: Time, failing: str
) -> None:
    process.step(failing).fails_with = [ProviderError(), RuntimeError("a defect")]
    before = OWN_STEPS[: OWN_STEPS.index(failing)]
    left = STEPS[STEPS.index(failing) :]
    assert await process.deletions.request(USER) == left
    assert process.journal == before
    time.pass_(5)
    await process.deletions.run_once()
    assert process.journal == before
    assert await process.deletions.request(USER) == left
    time.pass_(10)
    await process.deletions.run_once()
    assert process.journal == OWN_STEPS
    assert await process.deletions.request(USER) == []
    assert process.deletions.failures == {failing: 2}


@pytest.mark.parametrize("call", ["erase_records", "mark_done", "finish"])
@pytest.mark.parametrize("way", ["cut", "deaf"])
async def test_a_store_that_goes_away_in_between_only_delays(
    process: Process, time: Time, call: str, way: str
) -> None:
    setattr(process.line, way, (call,))
    await process.deletions.request(USER)
    assert sum(process.deletions.failures.values()) == 1
    setattr(process.line, way, ())
    time.pass_(5)
    await process.deletions.run_once()
    assert await process.deletions.request(USER) == []
    assert sorted(set(process.journal), key=OWN_STEPS.index) == OWN_STEPS
    # Only the step whose end was not noted may have run a second time.
    again = 1 if (call, way) == ("mark_done", "cut") else 0
    assert len(process.journal) == len(OWN_STEPS) + again


async def test_the_waits_double_up_to_the_longest(process: Process, time: Time) -> None:
    process.subscription.fails_with = [ProviderError() for _ in range(7)]
    await process.deletions.request(USER)
    waits: list[float] = []
    while process.subscription.fails_with:
        _, due = process.line.calls("retry_at")[-1]
        wait = (due - time.now).total_seconds()
        tries = len(process.subscription.fails_with)
        time.pass_(wait - 1)
        await process.deletions.run_once()
        assert len(process.subscription.fails_with) == tries
        time.pass_(1)
        await process.deletions.run_once()
        assert len(process.subscription.fails_with) == tries - 1
        waits.append(wait)
    assert waits == [5, 10, 20, 40, 60, 60]


def test_the_longest_wait_holds_for_any_number_of_failures() -> None:
    assert DeletionPace().wait_after(1_000_000).total_seconds() == 3600


async def test_a_repeated_request_is_answered_like_the_first_and_begins_nothing_anew(
    process: Process, time: Time
) -> None:
    process.subscription.fails_with = [ProviderError()]
    for _ in range(3):
        assert await process.deletions.request(USER) == STEPS[1:]
    assert process.deletions.failures == {"subscription": 1}
    time.pass_(5)
    for _ in range(3):
        assert await process.deletions.request(USER) == []
    assert process.journal == OWN_STEPS


async def test_requests_at_once_are_one_deletion(process: Process) -> None:
    answers = await asyncio.gather(*(process.deletions.request(USER) for _ in range(20)))
    assert answers == [[]] * 20
    assert process.journal == OWN_STEPS


async def test_a_client_that_leaves_stops_nothing(process: Process) -> None:
    process.turns.gate.clear()
    request = asyncio.create_task(process.deletions.request(USER))
    await process.turns.began.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    process.turns.gate.set()
    await process.deletions.run_once()
    assert process.journal == OWN_STEPS


async def test_a_client_that_leaves_while_it_is_recorded_leaves_a_locked_account(
    process: Process,
) -> None:
    request = asyncio.create_task(process.deletions.request(USER))
    await eventually(lambda: process.line.count("begin") == 1)
    request.cancel()
    await asyncio.wait([request])
    await process.deletions.close()
    assert process.stopped == [USER]
    with pytest.raises(Forbidden):
        await process.locks.check(USER)


async def test_without_the_store_nothing_is_begun_and_the_client_is_told(
    process: Process,
) -> None:
    process.line.cut = ("begin",)
    with pytest.raises(ServiceUnavailable):
        await process.deletions.request(USER)
    await process.locks.check(USER)
    assert process.stopped == []
    assert process.journal == []


async def test_once_recorded_the_answer_is_yes_even_if_work_cannot_begin(
    process: Process, time: Time
) -> None:
    process.line.cut = ("claim_due",)
    assert await process.deletions.request(USER) == STEPS
    assert process.deletions.failures == {"store": 1}
    with pytest.raises(Forbidden):
        await process.locks.check(USER)
    process.line.cut = ()
    await process.deletions.run_once()
    assert process.journal == OWN_STEPS


async def test_an_attempt_ends_before_its_lease_does(
    deletion_store: DeletionStore, time: Time
) -> None:
    process = Process(deletion_store, time, "one", pace=DeletionPace(lease=0.01))
    process.turns.gate.clear()
    assert await process.deletions.request(USER) == STEPS
    assert process.deletions.failures == {"turns": 1}
    assert process.line.count("retry_at") == 1


async def test_one_deletion_that_cannot_go_on_does_not_hold_up_another(
    process: Process, time: Time
) -> None:
    process.subscription.fails_with = [ZeroDivisionError("a defect")]
    assert await process.deletions.request(OTHER) == STEPS[1:]
    assert await process.deletions.request(USER) == []


async def test_the_log_says_what_failed_and_not_whose_it_is_nor_what_was_said(
    process: Process,
) -> None:
    process.subscription.fails_with = [ProviderError("secret words")]
    process.files.fails_with = [RuntimeError("secret words")]
    with capture_logs() as lines:
        await process.deletions.request(USER)
        await process.deletions.request(OTHER)
    failures = [line for line in lines if line["event"] == "deletion_failed"]
    assert [(line["step"], line["error"]) for line in failures] == [
        ("subscription", "ProviderError"),
        ("files", "RuntimeError"),
    ]
    for told in ("secret", str(USER), str(OTHER), USER.hex, OTHER.hex):
        assert told not in str(lines)


async def test_the_background_goes_on_from_time_to_time_and_survives_faults(
    deletion_store: DeletionStore, time: Time
) -> None:
    waits = Waits()
    process = Process(deletion_store, time, "one", sleep=waits)
    await deletion_store.begin(USER)
    process.line.cut = ("claim_due",)
    await process.deletions.start()
    assert await waits.next() == 5
    assert process.journal == []
    process.line.cut = ()
    waits.end()
    await waits.next()
    await process.deletions.run_once()
    assert process.journal == OWN_STEPS
    assert process.stopped == [USER]
    await process.deletions.close()
