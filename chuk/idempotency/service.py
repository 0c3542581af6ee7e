"""The same key, the same result, charged once.

A key is claimed before anything is held or sent. Whoever comes with the same key later gets what
the first one gets: the answer that is kept, the one still being made, or the failure of the one
being made. What failed frees its key, so that it can be tried again. A claim whose process died
is taken over where the books say that nothing was paid; where something was, the key answers
that, and is never worked for again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from secrets import token_hex
from uuid import UUID

from chuk.clock import Clock, utc_now
from chuk.credits.ports import LedgerStore
from chuk.errors import ChukError, IdempotencyConflict, InternalError, ServiceUnavailable
from chuk.idempotency.fingerprint import key_hash, owner_hash
from chuk.idempotency.ports import Claim, ClaimState, IdempotencyStore
from chuk.logs import log_failure, logger

_KEY = re.compile(r"[!-~]{1,255}")
_GONE = (
    "This request was served and paid for once, but its result is not kept any more. "
    "Use a new key to have it done, and paid for, again."
)
_UNDECIDED = "What became of this request is not known yet. Please try again shortly."
_RETRY_AFTER = 5
_LOOK_INTERVAL = 0.25
_SWEEP_INTERVAL = 600.0
_RECEIPTS = 100
# The clocks of the books and of this machine may differ by so much.
_CLOCKS_DIFFER = timedelta(minutes=5)

_log = logger("idempotency")

Work = Callable[[str], Awaitable[bytes]]
"""Does what was asked for; is given the work's name, for its hold, and returns JSON."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The claim that stands for a key; `is_new`: it is the caller's, who must end it."""

    claim: Claim
    is_new: bool


@dataclass(frozen=True, slots=True)
class _OpenWork:
    """A work of this process; `begun` is done once it runs, or has come to nothing before."""

    claim: Claim
    begun: asyncio.Future[None]

    def begin(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)


def is_key(text: str) -> bool:
    """Whether this can be a key: 1 to 255 visible ASCII characters."""
    return _KEY.fullmatch(text) is not None


class Idempotency:
    """Claims keys and shares what comes of them.

    Args:
        ledger: says whether the work of a dead process was paid for.
        process: this one, unlike any other.
        lease: seconds after which a process that has not renewed its claims counts as dead.
        make_id: a name for a work, unlike any other.
        sleep: how background tasks, and those who wait for another process, wait.
    """

    def __init__(
        self,
        store: IdempotencyStore,
        ledger: LedgerStore,
        *,
        process: str,
        lease: float,
        make_id: Callable[[], str] = lambda: token_hex(16),
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._process = process
        self._lease = timedelta(seconds=lease)
        self._make_id = make_id
        self._clock = clock
        self._sleep = sleep
        # What this process has claimed and not ended yet, by its work.
        self._open: dict[str, _OpenWork] = {}
        self._jobs: dict[str, asyncio.Task[bytes]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._upkeep: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Renew claims and sweep in the background."""
        self._upkeep = [
            asyncio.create_task(self._keep_leases(), name="idempotency leases"),
            asyncio.create_task(self._sweep(), name="idempotency sweep"),
        ]

    async def close(self) -> None:
        """End what is still worked on, as if its client had left, and write down how it ended."""
        running = [*self._upkeep, *self._jobs.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.gather(*self._ends)
        await self._store.close()

    async def forget(self, user_id: UUID) -> None:
        """End and erase all that is this user's."""
        owner = owner_hash(user_id)
        works = [work.claim.work for work in self._open.values() if work.claim.owner == owner]
        jobs = [self._jobs[work] for work in works if work in self._jobs]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await self._store.forget(owner)

    async def take(self, user_id: UUID, key: str, fingerprint: str) -> Taken:
        """Claim a key, or find the claim that stands. A new claim must be ended.

        Args:
            fingerprint: see `chuk.idempotency.fingerprint`.

        Raises:
            IdempotencyConflict: the key stands for something else.
            ServiceUnavailable: no promise can be kept now.
        """
        name = key_hash(user_id, key)
        dead = doubted = None
        while True:
            wanted = self._wanted(user_id, name, fingerprint)
            standing = await self._claimed(wanted, instead_of=dead)
            if standing.work == wanted.work:
                if (lost := self._under_way(standing)) is None:
                    return Taken(standing, is_new=True)
                # The store has forgotten what is worked on here: it was emptied, say.
                self._close(standing.work)
                await self._store.claim(lost, instead_of=standing.work)
                continue
            if standing.fingerprint != fingerprint:
                raise IdempotencyConflict(details={"reason": "other_request"})
            if (neighbour := self._open.get(standing.work)) is not None:
                # Claimed in this very moment, perhaps, and may yet be refused.
                await asyncio.shield(neighbour.begun)
                if standing.work in self._open:
                    return Taken(standing, is_new=False)
            elif standing.state is ClaimState.SERVED or not self._is_dead(standing):
                return Taken(standing, is_new=False)
            elif standing.work != doubted:
                # It may have ended since it was read.
                doubted = standing.work
            elif await self._was_paid(user_id, standing):
                await self._store.serve(standing, None)
                return Taken(replace(standing, state=ClaimState.SERVED), is_new=False)
            else:
                dead = standing.work

    def begin(self, claim: Claim) -> None:
        """The work of a new claim has begun: others may be told of it."""
        if (work := self._open.get(claim.work)) is not None:
            work.begin()

    async def drop(self, claim: Claim, error: ChukError | None = None) -> None:
        """A new claim came to nothing: its key is free again."""
        try:
            await self._store.give_up(claim, error)
        except ChukError as failure:
            # Its lease ends, and the books say that nothing was paid.
            _log.warning("claim_not_freed", work=claim.work, error=failure.code)
        finally:
            self._close(claim.work)

    def end_soon(self, claim: Claim, *, failed: bool) -> None:
        """The work of a claim is over, and whatever it made is kept elsewhere."""
        self._in_background(self.drop(claim) if failed else self._served(claim, None))

    async def once(
        self, user_id: UUID, key: str, fingerprint: str, work: Work
    ) -> tuple[bytes, bool]:
        """Let a work be done once; returns its answer, and whether it is a repeated one.

        The work belongs to all who ask for it: none of them ends it by leaving.

        Raises:
            IdempotencyConflict, ServiceUnavailable: as `take`, and where the answer is not kept.
            ChukError: what the work raised.
        """
        while True:
            taken = await self.take(user_id, key, fingerprint)
            claim = taken.claim
            if taken.is_new:
                return await self._shared(self._job(claim, work)), False
            if (running := self._jobs.get(claim.work)) is not None:
                return await self._shared(running), True
            outcome = await self._store.outcome(claim.work)
            if isinstance(outcome, ChukError):
                raise outcome
            if outcome is not None:
                return outcome, True
            await self.look_again(claim)

    async def look_again(self, claim: Claim) -> None:
        """Wait a moment for a result that is not there: another process may still work on it.

        Raises:
            IdempotencyConflict: nobody does.
        """
        if claim.state is ClaimState.SERVED:
            raise IdempotencyConflict(_GONE, details={"reason": "result_gone"})
        await self._sleep(_LOOK_INTERVAL)

    def _job(self, claim: Claim, work: Work) -> asyncio.Task[bytes]:
        job = asyncio.create_task(self._done(claim, work), name=f"job {claim.work}")
        self._jobs[claim.work] = job
        job.add_done_callback(lambda _: self._jobs.pop(claim.work, None))
        # Nobody may be left to hear of its failure.
        job.add_done_callback(lambda done: done.cancelled() or done.exception())
        self.begin(claim)
        return job

    @staticmethod
    async def _shared(job: asyncio.Task[bytes]) -> bytes:
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            if job.cancelled():
                # Not this listener was cancelled, but the work: the server ends.
                raise ServiceUnavailable from None
            raise

    async def _done(self, claim: Claim, work: Work) -> bytes:
        try:
            answer = await work(claim.work)
        except ChukError as error:
            await self.drop(claim, error)
            raise
        except asyncio.CancelledError:
            self._in_background(self.drop(claim, ServiceUnavailable()))
            raise
        except Exception as error:
            log_failure("idempotency", error, work=claim.work)
            await self.drop(claim, InternalError())
            raise InternalError from None
        await self._served(claim, answer)
        return answer

    async def _served(self, claim: Claim, answer: bytes | None) -> None:
        try:
            await self._store.serve(claim, answer)
        except ChukError as error:
            # Its lease ends, and the books say that it was paid: a repeat is told so.
            _log.warning("result_not_kept", work=claim.work, error=error.code)
        finally:
            self._close(claim.work)

    async def _claimed(self, wanted: Claim, *, instead_of: str | None) -> Claim:
        # Known here before the store has it, so that it is never taken for a dead one.
        self._open[wanted.work] = _OpenWork(wanted, asyncio.get_running_loop().create_future())
        standing: Claim | None = None
        try:
            standing = await self._store.claim(wanted, instead_of=instead_of)
        finally:
            if standing is None or standing.work != wanted.work:
                self._close(wanted.work)
        return standing

    def _wanted(self, user_id: UUID, key: str, fingerprint: str) -> Claim:
        now = self._clock()
        return Claim(
            key=key,
            owner=owner_hash(user_id),
            fingerprint=fingerprint,
            work=self._make_id(),
            process=self._process,
            state=ClaimState.RUNNING,
            claimed_at=now,
            lease_until=now + self._lease,
        )

    def _close(self, work: str) -> None:
        if (closed := self._open.pop(work, None)) is not None:
            closed.begin()

    def _under_way(self, claim: Claim) -> Claim | None:
        """The older claim of the same key whose work runs here, if any."""
        for work in self._open.values():
            if work.claim.key == claim.key and work.begun.done() and work.claim.work != claim.work:
                return work.claim
        return None

    def _is_dead(self, claim: Claim) -> bool:
        # Of its own works this process knows which ones it still does.
        return claim.process == self._process or claim.lease_until <= self._clock()

    async def _was_paid(self, user_id: UUID, claim: Claim) -> bool:
        """Whether anything was taken for the work of a dead claim.

        Raises:
            ServiceUnavailable: it may still be on hold.
        """
        # Asked before the receipts: what is ended in between is then among them.
        is_held = await self._ledger.is_held(claim.work)
        since, before = claim.claimed_at - _CLOCKS_DIFFER, None
        while page := await self._ledger.receipts(user_id, before=before, limit=_RECEIPTS):
            for receipt in page:
                if receipt.id == claim.work:
                    return receipt.charged > 0 or receipt.is_free_message
            if page[-1].created_at < since:
                break
            before = (page[-1].created_at, page[-1].id)
        if is_held:
            raise ServiceUnavailable(_UNDECIDED, retry_after=_RETRY_AFTER)
        return False

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _keep_leases(self) -> None:
        while True:
            await self._sleep(self._lease.total_seconds() / 3)
            if not self._open:
                continue
            claims = [work.claim for work in self._open.values()]
            try:
                await self._store.renew(claims, self._clock() + self._lease)
            except ChukError as error:
                _log.warning("claims_not_renewed", claims=len(claims), error=error.code)
            except Exception as error:
                # A defect must not make everything here look dead, nor be hidden.
                log_failure("idempotency", error, claims=len(claims))

    async def _sweep(self) -> None:
        while True:
            try:
                await self._store.sweep()
            except ServiceUnavailable:
                pass  # the next time
            except Exception as error:
                log_failure("idempotency", error)
            await self._sleep(_SWEEP_INTERVAL)
