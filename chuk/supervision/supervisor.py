"""The parent of several workers: starts them, starts them again, and passes signals on.

    SIGTERM, SIGINT  every worker drains, then all ends; a second one: at once
    SIGHUP           one worker after the other is replaced by one with the settings of now

It holds the sockets and carries no request, so that it hardly ever has a reason to fail; when it is
killed all the same, the kernel ends the others with it.
"""

from __future__ import annotations

import asyncio
import signal
from itertools import count
from pathlib import Path
from typing import Any

from chuk.arrival import TAKEOVER_WITHIN
from chuk.departure import LAST_WORDS, Stop
from chuk.listening import address_of
from chuk.logs import logger
from chuk.metrics.site import MetricsSite
from chuk.scratch import own_folder, somebody_serves
from chuk.sd_notify import Notifier
from chuk.server import announce, has_terminal, stop_on_signals
from chuk.settings import Settings, service_manager
from chuk.supervision.doors import Doors, open_doors
from chuk.supervision.host import HostKeeper
from chuk.supervision.member import Member
from chuk.supervision.numbers import CrewNumbers
from chuk.supervision.pauses import Pauses

# Of workers that end before they have served, one after the other.
_MOST_STILLBORN = 4
_HURRY = 15.0
# Where others serve already, a worker need not before it is of use, for so many seconds.
_USEFUL_WITHIN = 10.0

_log = logger("supervisor")


class WorkersFailed(Exception):
    """No worker can serve. The message says why.

    Attributes:
        code: the exit code.
    """

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


async def supervise(settings: Settings, workers: int, *, quickstart: bool = False) -> None:
    """Serve with several workers until SIGTERM or SIGINT, then let them drain.

    Args:
        quickstart: let one worker print a token and a command to try.

    Raises:
        OSError: the address cannot be listened on, or the data folder cannot be written.
        WorkersFailed: they do not come up.
    """
    stop = stop_on_signals()
    manager = service_manager()
    notifier = Notifier(manager)
    doors = open_doors(settings, workers, manager.sockets)
    try:
        takes_over = doors.are_lent and somebody_serves(settings.server.data_dir)
        with own_folder(settings.server.data_dir) as folder:
            host = HostKeeper(settings, folder / "host")
            host.start()
            try:
                crew = Supervisor(
                    settings, workers, doors, folder / "host", stop, notifier, takes_over=takes_over
                )
                async with notifier.alive():
                    await crew.run(quickstart=quickstart)
            finally:
                await host.close()
    finally:
        doors.close()


class _Slot:
    """One place for a worker, with a door of its own."""

    def __init__(self, door: int) -> None:
        self.door = door
        self.member: Member | None = None
        self.pauses = Pauses()
        self.stillborn = 0
        # One at a time is chosen for it.
        self.lock = asyncio.Lock()


class Supervisor:
    """Keeps every slot taken.

    Args:
        workers: so many slots.
        host: the path of the host's socket.
        stop: what the signals ask for.
        notifier: tells the service manager how all are.
        takes_over: another server still serves at these doors.
    """

    def __init__(
        self,
        settings: Settings,
        workers: int,
        doors: Doors,
        host: Path,
        stop: Stop,
        notifier: Notifier,
        *,
        takes_over: bool,
    ) -> None:
        self._settings = settings
        self._doors = doors
        self._host = host
        self._stop = stop
        self._notifier = notifier
        self._first_within = TAKEOVER_WITHIN if takes_over else 0.0
        self._slots = [_Slot(number) for number in range(workers)]
        self._members: set[Member] = set()
        self._is_up = False
        self._is_ending = False
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # What goes on beside the slots; none of it is left when this ends.
        self._hirings: set[asyncio.Task[Member | None]] = set()
        self._replacements: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()
        self._rolls = asyncio.Event()
        self._hired = count()
        self._numbers = CrewNumbers(lambda: self._members)

    async def run(self, *, quickstart: bool) -> None:
        """Run until told to stop. Raises `WorkersFailed`."""
        # Of a terminal that is closed it means the end; without one, as everywhere, new settings.
        metrics = MetricsSite(self._numbers.families)
        metrics.reserve_as(self._settings.metrics)
        if not self._first_within:
            # Nobody else tells anything: let it be seen how the workers come up.
            await metrics.open()
        on_hangup = self._stop.signal if has_terminal() else self._rolls.set
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
        stopped = asyncio.create_task(self._stop.asked.wait())
        tasks = [asyncio.create_task(self._keep(slot)) for slot in self._slots]
        tasks.append(asyncio.create_task(self._come_up(metrics, quickstart)))
        try:
            ends: set[asyncio.Future[Any]] = {stopped, self._failure, *tasks}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_ending = True
            stopped.cancel()
            tasks += self._replacements
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            if self._hirings:
                await asyncio.wait(self._hirings)
            if self._failure.done():
                self._stop.hurry.set()
            # Whoever takes over has the port to itself.
            await metrics.close()
            # From now on each worker has them for itself, and the last one closes them.
            self._doors.close()
            self._notifier.stopping(self._patience())
            await self._end_all()
        if self._failure.done():
            self._failure.result()
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _come_up(self, metrics: MetricsSite, quickstart: bool) -> None:
        """Say where the server listens once all workers answer; then replace them when asked."""
        while not all(slot.member is not None and slot.member.is_ready for slot in self._slots):
            self._change.clear()
            await self._change.wait()
        self._is_up = True
        await metrics.open()
        address = address_of(self._settings, self._doors.shared[0])
        announce(address)
        self._notifier.ready()
        if quickstart and (first := self._slots[0].member) is not None:
            first.guide(address)
        while True:
            await self._rolls.wait()
            self._rolls.clear()
            _log.info("replacing all workers")
            self._notifier.reloading()
            for slot in self._slots:
                # One whose settings are wrong shows that the others' would be too.
                if not await self._replace(slot):
                    break
            self._notifier.ready()

    async def _keep(self, slot: _Slot) -> None:
        """Put a worker into the slot whenever there is none."""
        while True:
            async with slot.lock:
                if slot.member is None:
                    slot.member = await self._hire(slot)
            member = slot.member
            if member is not None:
                await member.ended()
                if slot.member is not member:
                    continue
                slot.member = None
            await asyncio.sleep(self._pause_after(slot, member))

    async def _hire(self, slot: _Slot) -> Member | None:
        """Start a worker; None where the machine does not let us, which is logged."""
        hiring = asyncio.create_task(self._started(slot.door), name="a worker starts")
        self._hirings.add(hiring)
        hiring.add_done_callback(self._hirings.discard)
        # Once it is begun there will be a process, and it must be known.
        return await asyncio.shield(hiring)

    async def _started(self, door: int) -> Member | None:
        within = _USEFUL_WITHIN if self._is_up else self._first_within
        try:
            numbers = None
            if self._settings.metrics.port:
                # Short: the kernel takes no long paths of sockets.
                numbers = self._host.with_name(f"n{next(self._hired)}")
            member = await Member.start(
                door, self._doors, self._host, self._on_word, useful_within=within, numbers=numbers
            )
        except OSError as error:
            _log.error("worker not started", worker=door, reason=error.strerror)
            return None
        self._members.add(member)
        _log.info("worker started", worker=door, process=member.process_id)
        return member

    async def _replace(self, slot: _Slot) -> bool:
        """Put a new worker into the slot, then let the old one go; whether that has worked."""
        async with slot.lock:
            new = await self._hire(slot)
            if new is None:
                return False
            await new.settled()
            if not new.is_ready:
                reason = None if new.problem is None else new.problem[0]
                _log.error("worker not replaced", worker=slot.door, code=new.code, reason=reason)
                return False
            old, slot.member = slot.member, new
            self._share_out()
        if old is not None:
            old.end("retire")
            await old.ended()
        return True

    async def _succeed(self, slot: _Slot, leaving: Member) -> None:
        """Replace a worker that somebody has asked to end."""
        if not await self._replace(slot):
            leaving.end("retire")

    def _on_word(self, member: Member) -> None:
        """Something of a worker has changed."""
        if member.code is not None:
            self._members.discard(member)
        slot = self._slots[member.door]
        if member.is_leaving and slot.member is member and not self._is_ending:
            member.is_leaving = False
            task = asyncio.create_task(self._succeed(slot, member), name="a worker is replaced")
            self._replacements.add(task)
            task.add_done_callback(self._replacements.discard)
        self._share_out()
        self._change.set()

    def _share_out(self) -> None:
        """Give every door to its own worker, or to all others while it has none that serves."""
        serving = {
            slot.door: slot.member
            for slot in self._slots
            if slot.member in self._members and slot.member.is_ready
        }
        left = set(range(len(self._doors.shared))) - serving.keys()
        for member in self._members:
            if member.is_ready:
                is_serving = serving.get(member.door) is member
                member.accept({member.door} | left if is_serving else set())

    def _pause_after(self, slot: _Slot, member: Member | None) -> float:
        """How long to wait after a death; logs it, and gives up where it is in vain."""
        self._numbers.deaths += 1
        now = asyncio.get_running_loop().time()
        pause = slot.pauses.after(0.0 if member is None else now - member.begun)
        code = None if member is None else member.code
        _log.warning(
            "worker ended",
            worker=slot.door,
            code=code,
            deaths=slot.pauses.deaths,
            restart_in=pause,
        )
        if member is not None and member.is_ready:
            slot.stillborn = 0
            return pause
        slot.stillborn += 1
        problem = None if member is None else member.problem
        is_in_vain = slot.stillborn >= _MOST_STILLBORN or problem is not None
        if is_in_vain and not (self._is_up and any(one.is_ready for one in self._members)):
            reason = f"a worker ended with code {code} before it could serve"
            self._fail(*(problem or (reason, 1)))
        return pause

    def _fail(self, reason: str, code: int) -> None:
        if not self._failure.done():
            self._failure.set_exception(WorkersFailed(reason, code))

    async def _end_all(self) -> None:
        """Let every worker drain, and see it gone."""
        # At doors that are lent somebody else takes over, now or later: who comes there waits.
        gently = "retire" if self._doors.are_lent else "drain"
        how = "hurry" if self._stop.hurry.is_set() else gently
        for member in self._members:
            member.end(how)
        gone = asyncio.create_task(self._all_gone())
        hurry = asyncio.create_task(self._stop.hurry.wait())
        await asyncio.wait(
            {gone, hurry}, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        for member in self._members:
            member.end("hurry")
        await asyncio.wait({gone}, timeout=_HURRY)
        for member in self._members:
            _log.error("worker killed", worker=member.door, process=member.process_id)
            member.kill()
        await gone

    def _patience(self) -> float:
        return self._settings.server.shutdown_grace + LAST_WORDS

    async def _all_gone(self) -> None:
        while self._members:
            await next(iter(self._members)).ended()
