"""Keys that are claimed once. `IdempotencyStore`, on every store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest

from chuk.adapters.redis.connection import RedisConnection
from chuk.adapters.redis.idempotency import RedisIdempotency
from chuk.adapters.redis.sealing import Seals
from chuk.adapters.sqlite.idempotency import SqliteIdempotency
from chuk.errors import CorruptFile, ServiceUnavailable, UnsupportedFormat
from chuk.idempotency.ports import KEEP, Claim, ClaimState, IdempotencyStore
from tests.contracts.stores import NOW, StillClock
from tests.redis_server import RedisServer

SECRET = b"what somebody had drawn"


@dataclass
class StoreUnderTest:
    """A store, its clock, and how another process opens the same one."""

    store: IdempotencyStore
    clock: StillClock
    another: Callable[[], AbstractAsyncContextManager[IdempotencyStore]]
    all_bytes: Callable[[], bytes]


@pytest.fixture(params=["sqlite", "redis"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StoreUnderTest]:
    """An empty store, once of each kind."""
    clock = StillClock()
    if request.param == "sqlite":
        file = tmp_path / "data" / "claims.sqlite3"
        another = partial(sqlite_store, file, clock)
        all_bytes = partial(bytes_of_folder, tmp_path)
    else:
        server: RedisServer = request.getfixturevalue("redis_server")
        another = partial(redis_store, server, clock)
        all_bytes = partial(bytes_of_redis, server)
    async with another() as store:
        yield StoreUnderTest(store, clock, another, all_bytes)


@asynccontextmanager
async def sqlite_store(file: Path, clock: StillClock) -> AsyncIterator[IdempotencyStore]:
    store = SqliteIdempotency(file, clock=clock)
    yield store
    await store.close()


@asynccontextmanager
async def redis_store(
    server: RedisServer, clock: StillClock, *, timeout: float = 5.0
) -> AsyncIterator[IdempotencyStore]:
    connection = RedisConnection(server.url, timeout=timeout)
    store = RedisIdempotency(connection, Seals(b"k" * 32), clock=clock)
    yield store
    await store.close()
    await connection.close()


def bytes_of_folder(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def bytes_of_redis(server: RedisServer) -> bytes:
    with server.client() as client:
        return b"".join(client.dump(name) or b"" for name in client.scan_iter())


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def claim(key: str = "key", *, owner: str = "ada", meaning: str = "a fox") -> Claim:
    """A claim of one minute, by a process of its own."""
    return Claim(
        key=hashed(key),
        owner=hashed(owner),
        fingerprint=hashed(meaning),
        work=uuid4().hex,
        process="a process",
        state=ClaimState.RUNNING,
        claimed_at=NOW,
        lease_until=NOW + timedelta(minutes=1),
    )


async def test_a_key_is_claimed_once_however_many_come_at_once(kept: StoreUnderTest) -> None:
    wanted = [claim() for _ in range(20)]
    standing = await asyncio.gather(*(kept.store.claim(each) for each in wanted))
    assert len(set(standing)) == 1
    assert standing[0] in wanted
    other = claim("another key")
    assert await kept.store.claim(other) == other


async def test_a_claim_stands_for_a_day(kept: StoreUnderTest) -> None:
    first = await kept.store.claim(claim())
    kept.clock.move(seconds=KEEP.total_seconds() - 1)
    assert await kept.store.claim(claim()) == first
    kept.clock.move(seconds=1)
    later = replace(claim(), claimed_at=kept.clock())
    assert await kept.store.claim(later) == later


async def test_another_process_finds_the_claim_as_it_is(kept: StoreUnderTest) -> None:
    first = await kept.store.claim(claim())
    until = NOW + timedelta(minutes=5)
    await kept.store.renew([first], until)
    async with kept.another() as other:
        assert await other.claim(claim()) == replace(first, lease_until=until)
        await kept.store.serve(first, b"{}")
        assert (await other.claim(claim())).state is ClaimState.SERVED


async def test_a_dead_claim_gives_way_only_to_one_that_knows_it(kept: StoreUnderTest) -> None:
    dead = await kept.store.claim(claim())
    assert await kept.store.claim(claim(), instead_of="another work") == dead
    heirs = [claim() for _ in range(5)]
    standing = await asyncio.gather(
        *(kept.store.claim(each, instead_of=dead.work) for each in heirs)
    )
    assert len(set(standing)) == 1
    assert standing[0] in heirs
    # Whoever was thought dead changes nothing any more.
    await kept.store.serve(dead, b"{}")
    await kept.store.renew([dead], NOW)
    await kept.store.give_up(dead, None)
    assert await kept.store.claim(claim()) == standing[0]


async def test_what_a_work_came_to_is_kept_as_it_was(kept: StoreUnderTest) -> None:
    first = await kept.store.claim(claim())
    assert await kept.store.outcome(first.work) is None
    await kept.store.serve(first, b'{"text":"\xc3\xa4"}')
    assert await kept.store.outcome(first.work) == b'{"text":"\xc3\xa4"}'
    elsewhere = await kept.store.claim(claim("a chat"))
    await kept.store.serve(elsewhere, None)
    assert await kept.store.outcome(elsewhere.work) is None
    assert (await kept.store.claim(claim("a chat"))).state is ClaimState.SERVED


async def test_a_work_that_came_to_nothing_frees_its_key_and_says_why(
    kept: StoreUnderTest,
) -> None:
    first = await kept.store.claim(claim())
    await kept.store.give_up(first, UnsupportedFormat("exe", ["mp3"]))
    error = await kept.store.outcome(first.work)
    assert isinstance(error, UnsupportedFormat)
    assert (error.status, error.message) == (415, "This format is not supported.")
    assert error.details == {"format": "exe", "supported": ["mp3"]}
    second = claim()
    assert await kept.store.claim(second) == second
    assert await kept.store.outcome(second.work) is None


async def test_all_of_a_user_is_forgotten_and_nothing_of_others(kept: StoreUnderTest) -> None:
    adas = await kept.store.claim(claim("one"))
    bobs = await kept.store.claim(claim("two", owner="bob"))
    for each in (adas, bobs):
        await kept.store.serve(each, SECRET)
    await kept.store.forget(adas.owner)
    assert await kept.store.outcome(adas.work) is None
    assert await kept.store.outcome(bobs.work) == SECRET
    again = claim("one")
    assert await kept.store.claim(again) == again
    assert (await kept.store.claim(claim("two", owner="bob"))).work == bobs.work


async def test_no_answer_lies_open_anywhere(kept: StoreUnderTest) -> None:
    first = await kept.store.claim(claim())
    await kept.store.serve(first, SECRET)
    failed = await kept.store.claim(claim("another"))
    await kept.store.give_up(failed, CorruptFile(SECRET.decode()))
    everything = kept.all_bytes()
    assert first.work.encode() in everything
    assert SECRET not in everything


async def test_sweeping_leaves_what_still_stands(kept: StoreUnderTest) -> None:
    first = await kept.store.claim(claim())
    await kept.store.sweep()
    assert await kept.store.claim(claim()) == first


# What only one of them does.


async def test_claims_outlive_the_process_and_old_ones_leave_the_file(tmp_path: Path) -> None:
    clock, file = StillClock(), tmp_path / "claims.sqlite3"
    async with sqlite_store(file, clock) as store:
        first = await store.claim(claim())
        await store.serve(first, SECRET)
    async with sqlite_store(file, clock) as store:
        found = await store.claim(claim())
        assert (found.work, found.state) == (first.work, ClaimState.SERVED)
        # It was in memory.
        assert await store.outcome(first.work) is None
        clock.move(days=1)
        await store.sweep()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM claims").fetchone() == (0,)
    assert file.stat().st_mode & 0o077 == 0


async def test_the_oldest_answers_give_way_to_what_does_not_fit(tmp_path: Path) -> None:
    store = SqliteIdempotency(tmp_path / "claims.sqlite3", clock=StillClock(), most_bytes=100)
    claims = [await store.claim(claim(f"{number}")) for number in range(4)]
    for each, size in zip(claims, (40, 40, 40, 101), strict=True):
        await store.serve(each, b"x" * size)
    sizes = [await store.outcome(each.work) for each in claims]
    assert sizes == [None, b"x" * 40, b"x" * 40, None]
    await store.close()


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"")
    store = SqliteIdempotency(tmp_path / "data" / "claims.sqlite3", clock=StillClock())
    with pytest.raises(ServiceUnavailable):
        await store.claim(claim())
    await store.close()


async def test_redis_away_is_said_by_every_call(redis_server: RedisServer) -> None:
    async with redis_store(redis_server, StillClock()) as store:
        first = await store.claim(claim())
        redis_server.stop()
        for call in (
            store.claim(claim()),
            store.renew([first], NOW),
            store.serve(first, b"{}"),
            store.give_up(first, None),
            store.outcome(first.work),
            store.forget(first.owner),
        ):
            with pytest.raises(ServiceUnavailable):
                await call


async def test_however_much_is_worked_on_no_call_to_redis_takes_long(
    redis_server: RedisServer,
) -> None:
    # One call for each would take ten times as long as Redis may here.
    async with redis_store(redis_server, StillClock(), timeout=0.2) as store:
        works = [claim(f"key {number}") for number in range(4_000)]
        last = await store.claim(works[-1])
        await store.renew(works, NOW + timedelta(minutes=5))
        standing = await store.claim(claim(f"key {len(works) - 1}"))
        assert standing == replace(last, lease_until=NOW + timedelta(minutes=5))


async def test_redis_lets_everything_end_by_itself(redis_server: RedisServer) -> None:
    async with redis_store(redis_server, StillClock()) as store:
        await store.serve(await store.claim(claim()), b"{}")
        await store.give_up(await store.claim(claim("another")), CorruptFile())
    with redis_server.client() as client:
        names = list(client.scan_iter())
        assert len(names) == 4
        assert all(0 < client.ttl(name) <= KEEP.total_seconds() for name in names)
