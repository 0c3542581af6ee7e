"""Locked accounts: refused at once here, within seconds elsewhere, and rarely asked about."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from chuk.accounts.locks import LockedAccounts
from chuk.accounts.ports import DeletionStore
from chuk.errors import Forbidden
from tests.accounts.deletions import OTHER, USER, Line, Time
from tests.services.catalogs import Waits


@pytest.fixture
def line(deletion_store: DeletionStore) -> Line:
    return Line(deletion_store)


@pytest.fixture
def stopped() -> list[UUID]:
    return []


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def locks(line: Line, time: Time, stopped: list[UUID], waits: Waits) -> LockedAccounts:
    return LockedAccounts(
        line, on_locked=stopped.append, clock=time, loop_time=time.seconds, sleep=waits
    )


async def test_a_free_account_passes_and_is_not_asked_about_again_for_a_while(
    locks: LockedAccounts, line: Line, time: Time
) -> None:
    for _ in range(100):
        await locks.check(USER)
    assert line.count("is_locked") == 1
    time.pass_(14)
    await locks.check(USER)
    assert line.count("is_locked") == 1
    time.pass_(2)
    await locks.check(USER)
    assert line.count("is_locked") == 2


async def test_what_this_process_locks_is_refused_from_the_next_message_on(
    locks: LockedAccounts, line: Line, stopped: list[UUID]
) -> None:
    await locks.check(USER)
    locks.lock(USER)
    with pytest.raises(Forbidden) as caught:
        await locks.check(USER)
    assert "deleted" in caught.value.message
    await locks.check(OTHER)
    assert locks.is_known_locked(USER)
    assert not locks.is_known_locked(OTHER)
    assert stopped == [USER]


async def test_a_lock_of_another_process_is_learned_when_the_free_answer_ends(
    locks: LockedAccounts, line: Line, time: Time, stopped: list[UUID]
) -> None:
    await locks.check(USER)
    await line.begin(USER)
    time.pass_(16)
    with pytest.raises(Forbidden):
        await locks.check(USER)
    assert stopped == [USER]


async def test_a_lock_of_another_process_is_learned_at_the_next_look_by_itself(
    locks: LockedAccounts, line: Line, waits: Waits, stopped: list[UUID]
) -> None:
    await locks.check(USER)
    await locks.start()
    await waits.next()
    await line.begin(USER)
    assert stopped == []
    waits.end()
    await waits.next()
    assert stopped == [USER]
    with pytest.raises(Forbidden):
        await locks.check(USER)
    await locks.close()


async def test_the_running_work_of_a_user_is_stopped_once(
    locks: LockedAccounts, line: Line, time: Time, stopped: list[UUID]
) -> None:
    await line.begin(USER)
    for _ in range(3):
        await locks.look()
        time.pass_(2)
        with pytest.raises(Forbidden):
            await locks.check(USER)
    locks.lock(USER)
    assert stopped == [USER]


async def test_a_locked_account_stays_refused_without_asking(
    locks: LockedAccounts, line: Line, time: Time
) -> None:
    await line.begin(USER)
    for _ in range(3):
        with pytest.raises(Forbidden):
            await locks.check(USER)
        time.pass_(100_000)
    assert line.count("is_locked") == 1


async def test_an_erased_account_is_refused_too(locks: LockedAccounts, line: Line) -> None:
    deletion = await line.begin(USER)
    await line.erase_records(USER)
    await line.finish(deletion.id)
    with pytest.raises(Forbidden):
        await locks.check(USER)


async def test_a_look_goes_back_over_the_last_one_as_clocks_differ(
    locks: LockedAccounts, line: Line, time: Time
) -> None:
    begun = time.now
    await locks.look()
    time.pass_(2)
    await locks.look()
    first, second = [moment for (moment,) in line.calls("locked_since")]
    assert first.year == 1970
    assert begun - timedelta(minutes=5) < second < begun


async def test_a_look_that_failed_is_covered_by_the_next(
    locks: LockedAccounts, line: Line, time: Time, waits: Waits, stopped: list[UUID]
) -> None:
    await locks.start()
    await waits.next()
    line.cut = ("locked_since",)
    waits.end()
    await waits.next()
    await line.begin(USER)
    time.pass_(3600)
    line.cut = ()
    waits.end()
    await waits.next()
    assert stopped == [USER]
    await locks.close()


async def test_while_the_store_is_away_the_unknown_pass_and_are_counted_and_the_known_do_not(
    locks: LockedAccounts, line: Line, time: Time
) -> None:
    await line.begin(OTHER)
    await locks.look()
    line.cut = ("is_locked",)
    with capture_logs() as lines:
        for _ in range(3):
            await locks.check(USER)
        with pytest.raises(Forbidden):
            await locks.check(OTHER)
        assert locks.unanswered == 3
        line.cut = ()
        await locks.check(USER)
    # One line for the fault and one for its end, not one for each request.
    assert [entry["event"] for entry in lines] == ["locks_unknown", "locks_known_again"]
    assert str(USER) not in str(lines)


async def test_a_passing_in_the_dark_is_not_remembered_as_free(
    locks: LockedAccounts, line: Line
) -> None:
    line.cut = ("is_locked",)
    await locks.check(USER)
    line.cut = ()
    await line.begin(USER)
    with pytest.raises(Forbidden):
        await locks.check(USER)


async def test_a_lock_that_comes_while_the_store_is_asked_wins(
    deletion_store: DeletionStore, time: Time
) -> None:
    class Slow(Line):
        async def is_locked(self, user_id: UUID) -> bool:
            answer = await deletion_store.is_locked(user_id)
            asked.set()
            await go_on.wait()
            return answer

    asked, go_on = asyncio.Event(), asyncio.Event()
    locks = LockedAccounts(Slow(deletion_store), clock=time, loop_time=time.seconds)
    check = asyncio.create_task(locks.check(USER))
    await asked.wait()
    locks.lock(USER)
    go_on.set()
    with pytest.raises(Forbidden):
        await check


async def test_only_so_many_accounts_are_remembered(line: Line, time: Time) -> None:
    locks = LockedAccounts(line, clock=time, loop_time=time.seconds, most_remembered=2)
    users = [uuid4() for _ in range(3)]
    for user in users:
        await locks.check(user)
    await locks.check(users[2])
    assert line.count("is_locked") == 3
    await locks.check(users[0])
    assert line.count("is_locked") == 4
    # What is forgotten of the locked is only that it need not be asked about.
    for user in users:
        await line.begin(user)
        locks.lock(user)
    for user in users:
        with pytest.raises(Forbidden):
            await locks.check(user)


async def test_closing_ends_the_looking(locks: LockedAccounts, line: Line, waits: Waits) -> None:
    await locks.start()
    await waits.next()
    await locks.close()
    await locks.close()
    assert line.count("locked_since") == 1
