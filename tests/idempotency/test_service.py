"""Work with a key is done once; what became of a dead process's work is answered honestly."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from chuk.adapters.sqlite.idempotency import SqliteIdempotency
from chuk.adapters.sqlite.ledger import SqliteLedger
from chuk.credits.ledger import HoldRequest
from chuk.credits.money import MicroEuro
from chuk.errors import (
    CorruptFile,
    IdempotencyConflict,
    InternalError,
    ServiceUnavailable,
)
from chuk.idempotency.fingerprint import owner_hash
from chuk.idempotency.ports import IdempotencyStore
from chuk.idempotency.service import Idempotency
from tests.credits.books import (
    EURO,
    USER,
    Time,
    Unreliable,
    a_usage,
    an_order,
    give,
    open_books,
)

LEASE = 60.0
DAY = 86_400


@pytest.fixture
def time() -> Time:
    """The clock of all that a test starts."""
    return Time()


@pytest.fixture
async def ledger(tmp_path: Path, time: Time) -> AsyncIterator[SqliteLedger]:
    """Real books of a user with ten euros."""
    async with open_books(tmp_path, time) as books:
        await give(books, 10 * EURO)
        yield books


MakeProcess = Callable[..., Idempotency]


@pytest.fixture
async def make_process(
    ledger: SqliteLedger, time: Time, tmp_path: Path
) -> AsyncIterator[MakeProcess]:
    """Make what a process has of it, over one file; closed at the end."""
    made: list[Idempotency] = []
    numbers = itertools.count(1)

    def make(store: IdempotencyStore | None = None) -> Idempotency:
        service = Idempotency(
            store or SqliteIdempotency(tmp_path / "claims.sqlite3", clock=time.now),
            ledger,
            process=f"process-{next(numbers)}",
            lease=LEASE,
            clock=time.now,
            sleep=time.sleep,
        )
        made.append(service)
        return service

    yield make
    for service in made:
        await service.close()


class Work:
    """Work that counts how often it was done, and waits while its gate is closed."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.names: list[str] = []
        self.fails_with: Exception | None = None
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        if is_open:
            self.gate.set()

    async def __call__(self, name: str) -> bytes:
        self.names.append(name)
        self.began.set()
        await self.gate.wait()
        if self.fails_with is not None:
            raise self.fails_with
        return b"%d" % len(self.names)


async def once(service: Idempotency, work: Work, meaning: str = "a fox") -> tuple[bytes, bool]:
    """One request of the user under the same key."""
    return await service.once(USER, "key-1", meaning, work)


async def dead_work(service: Idempotency) -> str:
    """Claim the key in a process that does nothing more; returns the work's name."""
    taken = await service.take(USER, "key-1", "a fox")
    assert taken.is_new
    return taken.claim.work


async def held(ledger: SqliteLedger, work: str, **fields: Any) -> None:
    """The hold of a work, as the service would open it."""
    order = an_order(work)
    request: dict[str, Any] = {
        "at_most": order.at_most,
        "at_least": order.at_least,
        "allows_free_message": False,
    }
    await ledger.open_hold(
        HoldRequest(
            id=work,
            user_id=USER,
            operation=order.operation,
            model_id=order.model_id,
            provider_slug=order.provider_slug,
            owner="process-1",
            lease_until=Time().now(),
            **{**request, **fields},
        )
    )


async def refused(service: Idempotency, work: Work) -> IdempotencyConflict:
    """The conflict that a repeat gets."""
    with pytest.raises(IdempotencyConflict) as caught:
        await once(service, work)
    return caught.value


async def test_a_repeat_gets_what_the_first_got(make_process: MakeProcess) -> None:
    service, work = make_process(), Work()
    assert await once(service, work) == (b"1", False)
    assert await once(service, work) == (b"1", True)
    assert len(work.names) == 1


async def test_all_who_come_at_once_share_one_work(make_process: MakeProcess) -> None:
    service, work = make_process(), Work(is_open=False)
    asking = [asyncio.create_task(once(service, work)) for _ in range(20)]
    await work.began.wait()
    asking[0].cancel()
    work.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {answer for answer in answers[1:] if isinstance(answer, tuple)} <= {
        (b"1", True),
        (b"1", False),
    }
    assert len(work.names) == 1


async def test_a_store_that_has_lost_a_claim_is_told_of_it_by_who_still_works(
    make_process: MakeProcess, time: Time, tmp_path: Path
) -> None:
    store = SqliteIdempotency(tmp_path / "claims.sqlite3", clock=time.now)
    service, work = make_process(store), Work(is_open=False)
    first = asyncio.create_task(once(service, work))
    await work.began.wait()
    await store.forget(owner_hash(USER))
    with pytest.raises(IdempotencyConflict):
        await once(service, work, "a hen")
    repeats = [asyncio.create_task(once(service, work)) for _ in range(5)]
    await asyncio.sleep(0.05)
    work.gate.set()
    assert await asyncio.gather(first, *repeats) == [(b"1", False), *[(b"1", True)] * 5]
    assert len(work.names) == 1
    assert await once(service, work) == (b"1", True)


async def test_a_failure_is_shared_and_then_forgotten(make_process: MakeProcess) -> None:
    service, work = make_process(), Work(is_open=False)
    work.fails_with = CorruptFile()
    asking = [asyncio.create_task(once(service, work)) for _ in range(3)]
    await work.began.wait()
    work.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(answer) for answer in answers} == {CorruptFile}
    work.fails_with = None
    assert await once(service, work) == (b"2", False)


async def test_a_failure_of_our_own_is_told_as_such(make_process: MakeProcess) -> None:
    service, work = make_process(), Work()
    work.fails_with = ValueError("what somebody wrote")
    with pytest.raises(InternalError):
        await once(service, work)
    work.fails_with = None
    assert await once(service, work) == (b"2", False)


async def test_after_a_day_a_key_stands_for_nothing(make_process: MakeProcess, time: Time) -> None:
    service, work = make_process(), Work()
    await once(service, work)
    time.pass_by(DAY - 1)
    assert await once(service, work) == (b"1", True)
    time.pass_by(1)
    assert await once(service, work, "a hen") == (b"2", False)


async def test_a_defect_in_the_upkeep_does_not_end_it(
    make_process: MakeProcess, time: Time, tmp_path: Path
) -> None:
    class Failing(SqliteIdempotency):
        asked: ClassVar[list[str]] = []

        async def renew(self, claims: Any, until: Any) -> None:
            self.asked.append("renew")
            raise ValueError

        async def sweep(self) -> None:
            self.asked.append("sweep")
            raise ValueError

    service = make_process(Failing(tmp_path / "claims.sqlite3", clock=time.now))
    await service.start()
    await dead_work(service)
    for what, seconds in (("renew", LEASE / 3), ("sweep", 600.0)):
        for _ in range(2):
            before = Failing.asked.count(what)

            async def is_asked_again(what: str = what, before: int = before) -> bool:
                await asyncio.sleep(0.001)
                return Failing.asked.count(what) > before

            time.pass_by(seconds)
            await time.pass_until(is_asked_again)


async def test_another_process_waits_for_the_one_that_works(
    make_process: MakeProcess, time: Time
) -> None:
    one, two, work = make_process(), make_process(), Work(is_open=False)
    await one.start()
    first = asyncio.create_task(once(one, work))
    await work.began.wait()
    second = asyncio.create_task(once(two, work))
    # However long it takes: whoever lives says so.
    for _ in range(10):
        time.pass_by(LEASE / 3)
        await asyncio.sleep(0.01)
    assert not second.done()
    work.gate.set()
    assert await first == (b"1", False)
    await time.pass_until(lambda: _is_done(second))
    # What it came to is in the memory of the other one.
    assert isinstance(second.exception(), IdempotencyConflict)
    assert len(work.names) == 1


async def _is_done(task: asyncio.Task[Any]) -> bool:
    await asyncio.sleep(0.001)
    return task.done()


async def test_a_dead_claim_that_cost_nothing_is_taken_over(
    make_process: MakeProcess, ledger: SqliteLedger, time: Time
) -> None:
    dead, service, work = make_process(), make_process(), Work()
    name = await dead_work(dead)
    await held(ledger, name)
    await ledger.release(name, a_usage())
    asking = asyncio.create_task(once(service, work))
    await asyncio.sleep(0.01)
    assert not work.names
    time.pass_by(LEASE)
    assert await asking == (b"1", False)
    assert work.names != [name]
    assert await once(service, work) == (b"1", True)


@pytest.mark.parametrize("is_free_message", [False, True])
async def test_a_dead_claim_that_was_paid_is_never_worked_for_again(
    make_process: MakeProcess, ledger: SqliteLedger, time: Time, is_free_message: bool
) -> None:
    dead, service, work = make_process(), make_process(), Work()
    name = await dead_work(dead)
    if is_free_message:
        await held(
            ledger, name, at_most=MicroEuro(11 * EURO), at_least=MicroEuro(11 * EURO),
            allows_free_message=True,
        )  # fmt: skip
    else:
        await held(ledger, name)
    await ledger.settle(name, MicroEuro(40), a_usage())
    time.pass_by(LEASE)
    for _ in range(2):
        conflict = await refused(service, work)
        assert conflict.details == {"reason": "result_gone"}
    assert work.names == []


@pytest.mark.parametrize("is_free_message", [False, True])
async def test_a_dead_claim_whose_hold_is_still_open_is_not_decided_on(
    make_process: MakeProcess, ledger: SqliteLedger, time: Time, is_free_message: bool
) -> None:
    dead, service, work = make_process(), make_process(), Work()
    name = await dead_work(dead)
    # Of a free message nothing is on hold that could be seen in the purse.
    much = MicroEuro((11 if is_free_message else 1) * EURO)
    await held(ledger, name, at_most=much, at_least=much, allows_free_message=True)
    time.pass_by(LEASE)
    with pytest.raises(ServiceUnavailable) as caught:
        await once(service, work)
    assert caught.value.details["retry_after"] > 0  # type: ignore[operator]
    await ledger.settle(name, MicroEuro(40), a_usage())
    await refused(service, work)
    assert work.names == []


async def test_what_else_is_on_hold_keeps_nobody_from_a_dead_claim(
    make_process: MakeProcess, ledger: SqliteLedger, time: Time
) -> None:
    dead, service, work = make_process(), make_process(), Work()
    await dead_work(dead)
    await held(ledger, "another turn")
    time.pass_by(LEASE)
    assert await once(service, work) == (b"1", False)


async def test_only_one_of_many_takes_a_dead_claim_over(
    make_process: MakeProcess, time: Time
) -> None:
    await dead_work(make_process())
    time.pass_by(LEASE)
    service, work = make_process(), Work()
    answers = await asyncio.gather(*(once(service, work) for _ in range(20)))
    assert sum(not is_repeated for _, is_repeated in answers) == 1
    assert len(work.names) == 1


async def test_whoever_gives_up_before_the_work_began_leaves_the_key_free(
    make_process: MakeProcess,
) -> None:
    service, work = make_process(), Work()
    for turns in range(4):
        asking = asyncio.create_task(once(service, work))
        for _ in range(turns):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
    answer, is_repeated = await once(service, work)
    # It may have begun in the last moment, and then it is one for all.
    assert (answer, is_repeated) in {(b"1", False), (b"1", True)}


async def test_an_answer_that_could_not_be_kept_is_given_once(
    make_process: MakeProcess, ledger: SqliteLedger, time: Time, tmp_path: Path
) -> None:
    store: Any = Unreliable(
        SqliteIdempotency(tmp_path / "claims.sqlite3", clock=time.now)  # type: ignore[arg-type]
    )
    store.loses = ["serve"]
    service = make_process(store)

    async def work(name: str) -> bytes:
        await held(ledger, name)
        await ledger.settle(name, MicroEuro(40), a_usage())
        return b"{}"

    assert await service.once(USER, "key-1", "a fox", work) == (b"{}", False)
    with pytest.raises(IdempotencyConflict):
        await service.once(USER, "key-1", "a fox", work)


async def test_forgetting_a_user_ends_their_work_and_frees_their_keys(
    make_process: MakeProcess,
) -> None:
    service, work = make_process(), Work(is_open=False)
    asking = asyncio.create_task(once(service, work))
    await work.began.wait()
    await service.forget(USER)
    with pytest.raises(ServiceUnavailable):
        await asking
    work.gate.set()
    assert await once(service, work, "a hen") == (b"2", False)


async def test_closing_ends_the_work_and_frees_its_key(make_process: MakeProcess) -> None:
    service, work = make_process(), Work(is_open=False)
    asking = asyncio.create_task(once(service, work))
    await work.began.wait()
    await service.close()
    with pytest.raises(ServiceUnavailable):
        await asking
    work.gate.set()
    assert await once(make_process(), work) == (b"2", False)
