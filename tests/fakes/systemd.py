"""A service manager: starts and stops real processes as their units say, below a folder.

    async with FakeSystemd(root) as systemd:
        environ["SYSTEMCTL"] = systemd.program

`systemd.program` takes systemctl's verbs (those that deploying needs). Sockets stay open from
`start` to the end; a service gets them, its credentials and folders, is waited for until it says
that it is ready, watched, and killed when it does not stop in time. Not done here: users, limits,
sandboxes, and starting a service for a connection.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.instances import with_sockets
from tests.fakes.systemd_units import Unit, read_unit

_CLIENT = """#!{python} -ISE
import json, socket, sys
with socket.socket(socket.AF_UNIX) as talk:
    talk.connect({address!r})
    talk.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
    code, out = json.loads(talk.makefile().read())
sys.stdout.write(out)
sys.exit(code)
"""
_INACTIVE = 3
_WORDS = re.compile(r"(\w+)=(.*)")


@dataclass
class Service:
    """One service that was started.

    Attributes:
        state: `activating`, `active`, `deactivating`, `inactive` or `failed`.
        words: what it told, in order.
    """

    unit: Unit
    process: asyncio.subprocess.Process
    ear: socket.socket
    state: str = "activating"
    words: list[str] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    patience: asyncio.Timeout | None = None


class FakeSystemd:
    """See the module.

    Attributes:
        program: stands in for systemctl.
        services: all that were started, by name; the newest of each.
        enabled: the units that are.
        calls: what it was asked, in order.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = root / "etc/systemd/system"
        self.program = root / "systemctl"
        self.services: dict[str, Service] = {}
        self.enabled: set[str] = set()
        self.calls: list[list[str]] = []
        self._loaded: dict[str, Unit] = {}
        self._sockets: dict[str, socket.socket] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> FakeSystemd:
        self.root.mkdir(parents=True, exist_ok=True)
        address = str(self.root / "systemd.sock")
        self._server = await asyncio.start_unix_server(self._answer, address)
        self.program.write_text(_CLIENT.format(python=sys.executable, address=address))
        self.program.chmod(0o755)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for service in self.services.values():
            if not service.ended.is_set():
                service.process.kill()
            await service.ended.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in self._sockets.values():
            each.close()

    @property
    def address(self) -> str:
        """Where the socket unit listens."""
        host, port = self._sockets["chuk.socket"].getsockname()
        return f"http://{host}:{port}"

    def active(self) -> list[str]:
        """The services that serve."""
        return [name for name, each in self.services.items() if each.state == "active"]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arguments = json.loads(await reader.readline())
        self.calls.append(arguments)
        flags = {argument for argument in arguments if argument.startswith("--")}
        verb, *names = [argument for argument in arguments if argument not in flags]
        code, out = await self._obey(verb, names, is_waiting="--no-block" not in flags)
        writer.write(json.dumps([code, "" if "--quiet" in flags else out]).encode())
        writer.close()

    async def _obey(self, verb: str, names: list[str], *, is_waiting: bool) -> tuple[int, str]:
        match verb:
            case "daemon-reload":
                self._loaded.clear()
            case "enable":
                self.enabled |= set(names)
            case "disable":
                self.enabled -= set(names)
            case "is-active":
                states = [self._state(name) for name in names]
                is_active = any(state in ("active", "reloading") for state in states)
                return 0 if is_active else _INACTIVE, "\n".join(states) + "\n"
            case "start":
                starts = [asyncio.create_task(self._start(name)) for name in names]
                self._tasks |= set(starts)
                return max(await asyncio.gather(*starts)) if is_waiting else 0, ""
            case "stop":
                for name in names:
                    stopping = asyncio.create_task(self._stop(name))
                    self._tasks.add(stopping)
                    stopping.add_done_callback(self._tasks.discard)
                    if is_waiting:
                        await stopping
            case "reset-failed" | "reload-or-restart":
                pass
            case _:
                return 1, f"Unknown command verb {verb}.\n"
        return 0, ""

    def _state(self, name: str) -> str:
        if name.endswith(".socket"):
            return "active" if name in self._sockets else "inactive"
        return self.services[name].state if name in self.services else "inactive"

    def _unit(self, name: str) -> Unit:
        # Until it is told to look again, it knows what it has read.
        if name not in self._loaded:
            self._loaded[name] = read_unit(self.units, name)
        return self._loaded[name]

    async def _start(self, name: str) -> int:
        try:
            unit = self._unit(name)
        except FileNotFoundError:
            return 5
        if name.endswith(".socket"):
            host, _, port = unit.one("Socket", "ListenStream").rpartition(":")
            backlog = int(unit.one("Socket", "Backlog", "128"))
            self._sockets[name] = socket.create_server((host, int(port)), backlog=backlog)
            return 0
        if self._state(name) == "active":
            return 0
        service = await self._launched(unit)
        self.services[name] = service
        task = asyncio.create_task(self._attend(service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        ready, ended = (asyncio.create_task(each.wait()) for each in (service.ready, service.ended))
        patience = unit.seconds("TimeoutStartSec", 90)
        await asyncio.wait({ready, ended}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        ended.cancel()
        if service.ready.is_set() and not service.ended.is_set():
            service.state = "active"
            return 0
        await self._stop(name)
        service.state = "failed"
        return 1

    async def _launched(self, unit: Unit) -> Service:
        run = self.root / "run" / unit.one("Service", "RuntimeDirectory")
        run.mkdir(mode=int(unit.one("Service", "RuntimeDirectoryMode", "755"), 8), parents=True)
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.bind(str(run / "notify"))
        ear.setblocking(False)
        credentials = self._credentials(unit, run)
        environ = {"PATH": "/usr/bin:/bin", **self._environment(unit)}
        environ["NOTIFY_SOCKET"] = str(run / "notify")
        environ["CREDENTIALS_DIRECTORY"] = str(credentials)
        if watchdog := unit.seconds("WatchdogSec", 0):
            environ["WATCHDOG_USEC"] = str(round(watchdog * 1_000_000))
        given = [self._sockets[name].fileno() for name in unit.all("Service", "Sockets")]
        environ["LISTEN_FDS"] = str(len(given))
        command, *arguments = unit.one("Service", "ExecStart").split()
        log = (run.parent / f"{unit.name}.log").open("ab")
        with log:
            process = await asyncio.create_subprocess_exec(
                *with_sockets(given),
                str(self._below(command)),
                *arguments,
                cwd=self._below(unit.one("Service", "WorkingDirectory")),
                env=environ,
                pass_fds=given,
                umask=int(unit.one("Service", "UMask", "22"), 8),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return Service(unit, process, ear)

    def log(self, name: str) -> str:
        """What a service has printed."""
        return (self.root / "run" / f"{name}.log").read_text("utf-8")

    def _below(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _environment(self, unit: Unit) -> Mapping[str, str]:
        places = {"%S": "/var/lib", "%t": "/run"}
        environ = {}
        for assignment in unit.all("Service", "Environment"):
            name, _, value = assignment.partition("=")
            for mark, place in places.items():
                value = value.replace(mark, place)
            paths = [
                str(self._below(each)) if each.startswith("/") else each
                for each in value.split(":")
            ]
            environ[name] = ":".join(paths)
        return environ

    def _credentials(self, unit: Unit, run: Path) -> Path:
        folder = run / "credentials"
        folder.mkdir(mode=0o700)
        for loaded in unit.all("Service", "LoadCredential"):
            name, _, source = loaded.partition(":")
            # Of a folder, each file, with its name behind the folder's.
            for file in self._below(source).iterdir():
                target = folder / f"{name}_{file.name}"
                shutil.copyfile(file, target)
                target.chmod(0o400)
        return folder

    async def _attend(self, service: Service) -> None:
        """Hear what it says until it ends; kill it when it falls silent."""
        loop = asyncio.get_running_loop()
        gone = asyncio.create_task(service.process.wait())
        watchdog = service.unit.seconds("WatchdogSec", 0) or None
        hearing = asyncio.ensure_future(loop.sock_recv(service.ear, 1000))
        while not gone.done():
            done, _ = await asyncio.wait(
                {gone, hearing}, timeout=watchdog, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                os.kill(service.process.pid, signal.SIGABRT)
            if hearing in done:
                self._note(service, hearing.result().decode())
                hearing = asyncio.ensure_future(loop.sock_recv(service.ear, 1000))
        hearing.cancel()
        service.ear.close()
        shutil.rmtree(self.root / "run" / service.unit.one("Service", "RuntimeDirectory"))
        service.state = "inactive" if service.process.returncode == 0 else "failed"
        service.ended.set()

    def _note(self, service: Service, message: str) -> None:
        service.words.append(message)
        words = dict(_WORDS.findall(message))
        if "EXTEND_TIMEOUT_USEC" in words and service.patience is not None:
            more = int(words["EXTEND_TIMEOUT_USEC"]) / 1_000_000
            service.patience.reschedule(asyncio.get_running_loop().time() + more)
        if words.get("READY") == "1":
            service.ready.set()

    async def _stop(self, name: str) -> None:
        if name in self._sockets:
            self._sockets.pop(name).close()
        service = self.services.get(name)
        if service is None or service.ended.is_set():
            return
        service.state = "deactivating"
        service.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(service.unit.seconds("TimeoutStopSec", 90)) as patience:
                service.patience = patience
                await service.ended.wait()
        except TimeoutError:
            service.process.kill()
            await service.ended.wait()
