"""API keys by themselves: what is kept of them, and how long one is taken for good."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chuk.accounts.api_keys import MOST_KEYS, ApiKeys
from chuk.accounts.ports import ApiKey
from chuk.accounts.principal import Scope
from chuk.adapters.sqlite.api_keys import SqliteApiKeys
from chuk.adapters.sqlite.database import Database
from chuk.credits.money import MicroEuro
from chuk.errors import InvalidRequest, InvalidToken, NotFound, ServiceUnavailable, TokenExpired
from tests.accounts.deletions import OTHER, SALT, USER, Time


class CountedKeys:
    """The real store, which counts questions and can be out of reach, or slow to answer."""

    def __init__(self, store: SqliteApiKeys) -> None:
        self.asked = 0
        self.uses: list[datetime] = []
        self.is_away = False
        self.has_read = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._store = store

    async def add(self, key: ApiKey, digest: bytes, *, most: int) -> bool:
        return await self._store.add(key, digest, most=most)

    async def find(self, digest: bytes) -> ApiKey | None:
        self.asked += 1
        self._reach()
        found = await self._store.find(digest)
        self.has_read.set()
        await self.gate.wait()
        return found

    async def of_user(self, user_id: UUID) -> Sequence[ApiKey]:
        return await self._store.of_user(user_id)

    async def remove(self, user_id: UUID, key_id: UUID) -> bool:
        self._reach()
        return await self._store.remove(user_id, key_id)

    async def note_use(self, key_id: UUID, moment: datetime) -> None:
        self._reach()
        self.uses.append(moment)
        await self._store.note_use(key_id, moment)

    def _reach(self) -> None:
        if self.is_away:
            raise ServiceUnavailable


@pytest.fixture
def store(database: Database, time: Time) -> CountedKeys:
    return CountedKeys(SqliteApiKeys(database, free_messages=10, clock=time))


def keys_of(store: CountedKeys, time: Time, **options: Any) -> ApiKeys:
    """One process's view of the store."""
    return ApiKeys(store, log_salt=SALT, clock=time, loop_time=time.seconds, **options)


@pytest.fixture
async def keys(store: CountedKeys, time: Time) -> AsyncIterator[ApiKeys]:
    made = keys_of(store, time)
    yield made
    await made.close()


async def test_a_key_speaks_for_its_owner_within_its_scopes(keys: ApiKeys, time: Time) -> None:
    made = await keys.create(USER, "  ci ", scopes={Scope.CHAT})
    assert re.fullmatch("chuk_sk_[A-Za-z0-9_-]{43}", made.secret)
    assert made.secret.endswith(made.key.last_four)
    assert (made.key.name, made.key.created_at) == ("ci", time.now)
    principal = await keys.verify(made.secret)
    assert (principal.user_id, principal.api_key_id) == (USER, made.key.id)
    assert principal.may(Scope.CHAT)
    assert not principal.may(Scope.IMAGES)
    assert not principal.may(None)
    await keys.check(principal)


async def test_unless_said_otherwise_a_key_may_do_everything_for_ever(keys: ApiKeys) -> None:
    made = await keys.create(USER, "all")
    assert made.key.scopes == set(Scope)
    assert (made.key.monthly_budget, made.key.expires_at) == (None, None)


async def test_nothing_that_is_kept_or_printed_gives_a_key_away(
    keys: ApiKeys, database: Database, tmp_path: Path
) -> None:
    made = await keys.create(USER, "ci")
    principal = await keys.verify(made.secret)
    await keys.close()
    await database.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("books.sqlite3*"))
    random = made.secret.removeprefix("chuk_sk_")
    assert made.key.id.bytes in kept
    assert random.encode() not in kept
    assert random[:-4] not in f"{principal!r} {made.key!r}"


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\0b"}),
        ("name", {"name": "half \ud83d"}),
        ("scopes", {"scopes": set()}),
        ("monthly_budget_eur", {"monthly_budget": MicroEuro(0)}),
        ("expires_at", {"expires_at": Time().now}),
    ],
)
async def test_a_key_that_makes_no_sense_is_not_made(
    keys: ApiKeys, field: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await keys.create(USER, **{"name": "ci", **fields})
    assert list(caught.value.details["fields"]) == [field]  # type: ignore[call-overload]
    assert await keys.of_user(USER) == []


async def test_there_are_only_so_many_keys(keys: ApiKeys) -> None:
    for number in range(MOST_KEYS):
        await keys.create(USER, f"{number}")
    with pytest.raises(InvalidRequest) as caught:
        await keys.create(USER, "one more")
    assert caught.value.details == {"limit": MOST_KEYS}
    await keys.create(OTHER, "somebody else's")


@pytest.mark.parametrize(
    "text", ["chuk_sk_", "chuk_sk_" + "A" * 42, "chuk_sk_" + "ä" * 43, "chuk_sk_" + "A" * 44]
)
async def test_what_cannot_be_a_key_is_refused_without_asking(
    keys: ApiKeys, store: CountedKeys, text: str
) -> None:
    with pytest.raises(InvalidToken):
        await keys.verify(text)
    assert store.asked == 0


async def test_a_key_nobody_made_is_invalid(keys: ApiKeys) -> None:
    with pytest.raises(InvalidToken):
        await keys.verify("chuk_sk_" + "A" * 43)


async def test_a_key_ends_to_the_second_also_when_it_is_remembered(
    keys: ApiKeys, time: Time
) -> None:
    made = await keys.create(USER, "short", expires_at=time.now + timedelta(seconds=5))
    time.pass_(4)
    principal = await keys.verify(made.secret)
    time.pass_(1)
    for asked in (keys.verify(made.secret), keys.check(principal)):
        with pytest.raises(TokenExpired) as caught:
            await asked
        assert caught.value.details == {"expired_at": "2026-01-15T10:30:05Z"}
        assert caught.value.user_id == USER


async def test_a_revoked_key_is_refused_here_at_once_and_elsewhere_within_seconds(
    keys: ApiKeys, store: CountedKeys, time: Time
) -> None:
    made = await keys.create(USER, "ci")
    elsewhere = keys_of(store, time)
    principal = await elsewhere.verify(made.secret)
    await keys.verify(made.secret)
    await keys.revoke(USER, made.key.id)
    with pytest.raises(InvalidToken):
        await keys.verify(made.secret)
    with pytest.raises(InvalidToken):
        await keys.check(principal)
    time.pass_(10)
    with pytest.raises(InvalidToken):
        await elsewhere.verify(made.secret)
    await elsewhere.close()


async def test_an_answer_under_way_does_not_bring_a_revoked_key_back(
    keys: ApiKeys, store: CountedKeys
) -> None:
    made = await keys.create(USER, "ci")
    store.gate.clear()
    asking = asyncio.create_task(keys.verify(made.secret))
    await store.has_read.wait()
    await keys.revoke(USER, made.key.id)
    store.gate.set()
    with pytest.raises(InvalidToken):
        await asking
    with pytest.raises(InvalidToken):
        await keys.verify(made.secret)


async def test_only_ones_own_keys_can_be_revoked(keys: ApiKeys) -> None:
    made = await keys.create(USER, "ci")
    with pytest.raises(NotFound):
        await keys.revoke(OTHER, made.key.id)
    assert (await keys.verify(made.secret)).user_id == USER


async def test_many_requests_at_once_are_one_question_which_none_of_them_can_cancel(
    keys: ApiKeys, store: CountedKeys
) -> None:
    made = await keys.create(USER, "ci")
    store.gate.clear()
    asking = [asyncio.create_task(keys.verify(made.secret)) for _ in range(5)]
    await store.has_read.wait()
    asking[0].cancel()
    store.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {each.api_key_id for each in answers[1:]} == {made.key.id}  # type: ignore[union-attr]
    await keys.verify(made.secret)
    assert store.asked == 1


async def test_a_store_out_of_reach_is_never_the_keys_fault(
    keys: ApiKeys, store: CountedKeys, time: Time
) -> None:
    made = await keys.create(USER, "ci")
    store.is_away = True
    with pytest.raises(ServiceUnavailable):
        await keys.verify(made.secret)
    store.is_away = False
    await keys.verify(made.secret)
    store.is_away = True
    # For a while it is still known.
    time.pass_(9)
    await keys.verify(made.secret)
    time.pass_(1)
    with pytest.raises(ServiceUnavailable):
        await keys.verify(made.secret)


async def test_a_use_is_noted_at_most_once_a_minute(
    keys: ApiKeys, store: CountedKeys, time: Time
) -> None:
    made = await keys.create(USER, "ci")
    begun = time.now
    for _ in range(7):
        await keys.verify(made.secret)
        await keys.close()
        time.pass_(20)
    assert store.uses == [begun, begun + timedelta(minutes=1), begun + timedelta(minutes=2)]
    (listed,) = await keys.of_user(USER)
    assert listed.last_used_at == store.uses[-1]
    # Another process knows of it from the store.
    elsewhere = keys_of(store, time)
    await elsewhere.verify(made.secret)
    await elsewhere.close()
    assert len(store.uses) == 3


async def test_a_use_that_cannot_be_noted_is_counted_and_nothing_else(
    keys: ApiKeys, store: CountedKeys, time: Time
) -> None:
    made = await keys.create(USER, "ci")
    await keys.verify(made.secret)
    await keys.close()
    # It remembers for longer than the notes are apart.
    patient = keys_of(store, time, remember_seconds=1000)
    await patient.verify(made.secret)
    store.is_away = True
    time.pass_(61)
    await patient.verify(made.secret)
    await patient.close()
    assert patient.unnoted == 1


async def test_only_so_many_keys_are_remembered(store: CountedKeys, time: Time) -> None:
    keys = keys_of(store, time, remember_count=2)
    made = [await keys.create(USER, f"{number}") for number in range(3)]
    for each in made:
        await keys.verify(each.secret)
    await keys.verify(made[0].secret)
    assert store.asked == 4
    await keys.close()
