"""A worker process as the supervisor sees it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from chuk.logs import log_failure
from chuk.supervision.channel import Channel
from chuk.supervision.doors import Doors

_MODULE = "chuk.supervision.worker"


class Member:
    """One worker, from its start to its end.

    Attributes:
        door: the number of its own door.
        doors: those that it has been told to take connections from.
        is_ready: whether it serves, or did.
        is_leaving: whether it wants to, and nothing has come of it yet.
        code: its exit code, once it has ended.
        problem: why it could not serve, with the exit code for it, if it said so.
        numbers: the socket where it says what it has counted; None: nobody wants to know.
    """

    def __init__(
        self,
        door: int,
        process: asyncio.subprocess.Process,
        channel: Channel,
        on_word: Callable[[Member], None],
        numbers: Path | None = None,
    ) -> None:
        self.numbers = numbers
        self.door = door
        self.doors = {door}
        self.is_ready = False
        self.is_leaving = False
        self.code: int | None = None
        self.problem: tuple[str, int] | None = None
        self.begun = asyncio.get_running_loop().time()
        self._process = process
        self._channel = channel
        self._on_word = on_word
        self._settled = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(), name="a worker's words")

    @classmethod
    async def start(
        cls,
        door: int,
        doors: Doors,
        host: Path,
        on_word: Callable[[Member], None],
        *,
        useful_within: float,
        numbers: Path | None = None,
    ) -> Member:
        """Start one.

        Args:
            host: the socket of the machine's host of models.
            useful_within: others serve already, so that it need not for so many seconds, before it
                is of use; 0: they do not.
            on_word: called whenever something of this has changed.
            numbers: where it is to say what it has counted.

        Raises:
            OSError: this machine makes no more processes.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = [socket_.fileno() for socket_ in doors.shared]
            local = None if doors.local is None else doors.local.fileno()
            orders = {
                "parent": os.getpid(),
                "channel": theirs.fileno(),
                "doors": descriptors,
                "door": door,
                "local": local,
                "host": str(host),
                "useful_within": useful_within,
                "numbers": None if numbers is None else str(numbers),
            }
            passed = [theirs.fileno(), *descriptors, *([] if local is None else [local])]
            try:
                process = await start_python(_MODULE, json.dumps(orders), pass_fds=passed)
            except OSError:
                ours.close()
                raise
        return cls(door, process, await Channel.over(ours), on_word, numbers)

    @property
    def process_id(self) -> int:
        """Of the process."""
        return self._process.pid

    async def settled(self) -> None:
        """Wait until it serves, or has ended."""
        await self._settled.wait()

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.wait({self._listening})

    def guide(self, address: str) -> None:
        """Let it print how to try the server."""
        self._channel.tell(guide=address)

    def accept(self, doors: set[int]) -> None:
        """Let it take connections from these doors."""
        if doors != self.doors:
            self.doors = doors
            self._channel.tell(accept=sorted(doors))

    def end(self, how: str) -> None:
        """Tell it to `retire`, `drain` or `hurry`."""
        self._channel.tell(end=how)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _listen(self) -> None:
        try:
            while (message := await self._channel.heard()) is not None:
                if "ready" in message:
                    self.is_ready = True
                    self._settled.set()
                elif "leaving" in message:
                    self.is_leaving = True
                elif "problem" in message:
                    self.problem = (message["problem"], message["code"])
                self._on_word(self)
        except Exception as error:
            log_failure("supervisor", error)
        # Its end of the channel closes with it.
        self.code = await self._process.wait()
        self._channel.close()
        self._settled.set()
        self._on_word(self)


async def start_python(
    module: str, orders: str, *, pass_fds: Sequence[int], stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """Run a module of this program in a process of its own, which has our environment.

    It is not of our session: Ctrl-C at the terminal is for the supervisor, which passes it on.

    Raises:
        OSError: this machine makes no more processes.
    """
    # What lies in the working directory is not ours, unless we were started from it.
    flags = [] if str(Path.cwd()) in sys.path or "" in sys.path else ["-P"]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *flags,
        "-m",
        module,
        orders,
        stdin=stdin,
        pass_fds=pass_fds,
        start_new_session=True,
    )
