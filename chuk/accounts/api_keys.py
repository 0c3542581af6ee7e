"""Personal API keys: made, shown once, verified, revoked.

A key is 32 random bytes. Of it only the SHA-256 is kept: nobody can search 2^256 keys for the
one behind a digest, so that a slow hash, which guards what people can guess, would guard nothing
more here, and would cost every request tens of milliseconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from chuk.accounts.ports import ApiKey, ApiKeyStore
from chuk.accounts.principal import Principal, Scope, log_name
from chuk.clock import Clock, utc_now
from chuk.credits.money import MicroEuro
from chuk.errors import ChukError, InvalidRequest, InvalidToken, NotFound, TokenExpired
from chuk.logs import log_failure, logger

PREFIX = "chuk_sk_"
"""How every key begins, so that whoever scans code for secrets finds one."""

MOST_KEYS = 50
LONGEST_NAME = 100
NEVER = 253_402_300_799
"""When a key without an end expires, Unix seconds: the last moment a date can say."""

_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_LAST = 4
_UNKNOWN = "This API key is not valid."
# Control characters, and halves of surrogate pairs: not every store takes them.
_UNSPEAKABLE = frozenset({"Cc", "Cs"})
_REMEMBER_SECONDS = 10.0
_REMEMBER_COUNT = 10_000
_USE_INTERVAL = timedelta(minutes=1)


_Answer = tuple[ApiKey | None, ChukError | None]

_Name = TypeVar("_Name")
_Known = TypeVar("_Known")

_log = logger("api_keys")


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key in the only moment in which it is known. `secret` is what its owner keeps."""

    key: ApiKey
    secret: str


class ApiKeys:
    """Everybody's keys.

    A key that was good is not asked about again for some seconds: so long a key revoked by
    another process may still be used here. One revoked here is refused at once.

    Args:
        remember_seconds: how long.
        remember_count: how many keys, and how many revoked ones.

    Attributes:
        unnoted: how many uses could not be written down since the start.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        *,
        log_salt: bytes,
        clock: Clock = utc_now,
        loop_time: Callable[[], float] = time.monotonic,
        remember_seconds: float = _REMEMBER_SECONDS,
        remember_count: int = _REMEMBER_COUNT,
    ) -> None:
        self.unnoted = 0
        self._store = store
        self._log_salt = log_salt
        self._clock = clock
        self._loop_time = loop_time
        self._remember_seconds = remember_seconds
        self._remember_count = remember_count
        self._remembered: OrderedDict[bytes, tuple[float, ApiKey, Principal]] = OrderedDict()
        self._revoked: OrderedDict[UUID, None] = OrderedDict()
        self._used: OrderedDict[UUID, datetime] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Answer]] = {}
        self._noting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Wait for what is still being written down."""
        if self._noting:
            await asyncio.wait(self._noting)

    async def create(
        self,
        user_id: UUID,
        name: str,
        *,
        scopes: Set[Scope] = frozenset(Scope),
        monthly_budget: MicroEuro | None = None,
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Make a key.

        Raises:
            InvalidRequest: a field makes no sense, or the user has `MOST_KEYS` already.
            Forbidden: the account is locked for deletion.
            ServiceUnavailable: the store cannot be reached.
        """
        now, name = self._clock(), name.strip()
        if not name or len(name) > LONGEST_NAME:
            raise InvalidRequest.field("name", f"Must have 1 to {LONGEST_NAME} characters.")
        if any(unicodedata.category(character) in _UNSPEAKABLE for character in name):
            raise InvalidRequest.field("name", "Must be a text without control characters.")
        if not scopes:
            raise InvalidRequest.field("scopes", "A key must be allowed something.")
        if monthly_budget is not None and monthly_budget <= 0:
            raise InvalidRequest.field("monthly_budget_eur", "Must be more than 0.")
        if expires_at is not None and expires_at <= now:
            raise InvalidRequest.field("expires_at", "Must be in the future.")
        secret = PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=uuid4(),
            user_id=user_id,
            name=name,
            last_four=secret[-_LAST:],
            scopes=frozenset(scopes),
            monthly_budget=monthly_budget,
            created_at=now,
            expires_at=expires_at,
        )
        if not await self._store.add(key, _digest(secret), most=MOST_KEYS):
            raise InvalidRequest(
                f"You have {MOST_KEYS} API keys, which is all there may be. Delete one first.",
                details={"limit": MOST_KEYS},
            )
        return NewApiKey(key, secret)

    async def of_user(self, user_id: UUID) -> Sequence[ApiKey]:
        """The user's keys, the oldest first, with what was spent through each this month."""
        return await self._store.of_user(user_id)

    async def revoke(self, user_id: UUID, key_id: UUID) -> None:
        """Forget a key for good.

        Raises:
            NotFound: the user has no such key.
            ServiceUnavailable: the store cannot be reached; it may be gone all the same.
        """
        if not await self._store.remove(user_id, key_id):
            raise NotFound("There is no such API key.")
        # Not just forgotten: an answer that is under way would bring it back.
        _remember(self._revoked, key_id, None, self._remember_count)

    async def verify(self, secret: str) -> Principal:
        """Whom a key speaks for.

        Raises:
            TokenExpired: it has ended.
            InvalidToken: it is no key, or none any more.
            ServiceUnavailable: the store that would decide cannot be reached.
        """
        if not _KEY.fullmatch(secret):
            raise InvalidToken(_UNKNOWN)
        return await self._verified(_digest(secret))

    async def check(self, principal: Principal) -> None:
        """Whether the key behind a principal is still good.

        Raises:
            ChukError: as `verify`.
        """
        if principal.api_key_digest is None:
            raise InvalidToken(_UNKNOWN)
        await self._verified(principal.api_key_digest)

    async def _verified(self, digest: bytes) -> Principal:
        remembered = self._remembered.get(digest)
        if remembered is None or self._loop_time() >= remembered[0]:
            remembered = await self._asked(digest)
        _, key, principal = remembered
        if key.id in self._revoked:
            raise InvalidToken(_UNKNOWN)
        now = self._clock()
        if key.expires_at is not None and now >= key.expires_at:
            raise TokenExpired(key.expires_at.timestamp(), key.user_id, "This API key has expired.")
        self._note_use(key, now)
        return principal

    async def _asked(self, digest: bytes) -> tuple[float, ApiKey, Principal]:
        self._remembered.pop(digest, None)
        until = self._loop_time() + self._remember_seconds
        task = self._asking.get(digest)
        if task is None:
            # Many requests of one program at once: one question, which none of them can cancel.
            task = asyncio.create_task(self._find(digest), name="api key")
            self._asking[digest] = task
        key, failure = await asyncio.shield(task)
        if failure is not None:
            raise failure
        if key is None:
            raise InvalidToken(_UNKNOWN)
        entry = until, key, self._principal(key, digest)
        _remember(self._remembered, digest, entry, self._remember_count)
        return entry

    def _principal(self, key: ApiKey, digest: bytes) -> Principal:
        return Principal(
            user_id=key.user_id,
            log_name=log_name(self._log_salt, key.user_id),
            expires_at=NEVER if key.expires_at is None else int(key.expires_at.timestamp()),
            api_key_id=key.id,
            scopes=key.scopes,
            api_key_digest=digest,
        )

    async def _find(self, digest: bytes) -> _Answer:
        """What the store says. Told, not raised: perhaps nobody waits for it any more."""
        try:
            return await self._store.find(digest), None
        except ChukError as error:
            return None, error
        finally:
            del self._asking[digest]

    def _note_use(self, key: ApiKey, now: datetime) -> None:
        """Keep when a key was last used, to the minute, without anybody waiting for it."""
        last = self._used.get(key.id, key.last_used_at)
        if last is not None and now - last < _USE_INTERVAL:
            return
        _remember(self._used, key.id, now, self._remember_count)
        task = asyncio.create_task(self._write_use(key.id, now), name="use of an api key")
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _write_use(self, key_id: UUID, moment: datetime) -> None:
        try:
            await self._store.note_use(key_id, moment)
        except ChukError as error:
            # The next use, a minute later, is noted again.
            self.unnoted += 1
            _log.warning("use_not_noted", error=error.code, unnoted=self.unnoted)
        except Exception as error:
            self.unnoted += 1
            log_failure("api_keys", error)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _remember(known: OrderedDict[_Name, _Known], name: _Name, what: _Known, most: int) -> None:
    """Keep the newest; the oldest give way."""
    known[name] = what
    known.move_to_end(name)
    if len(known) > most:
        known.popitem(last=False)
