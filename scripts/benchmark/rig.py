"""Fake upstreams with the relays in front of them, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmark import canned_upstream, contenders
from benchmark.contenders import Target
from benchmark.machine import Cores
from benchmark.processes import free_port


@dataclass(frozen=True, slots=True)
class Rig:
    """Which relays run, on which cores, and where their files go."""

    relays: Sequence[str]
    cores: Cores
    folder: Path
    say: Callable[[str], None]

    @contextmanager
    def canned(self) -> Iterator[list[Target]]:
        """The relays in front of nginx."""
        with ExitStack() as running:
            port = free_port()
            running.enter_context(
                canned_upstream.start(port, cores=self.cores.load, folder=self.folder)
            )
            yield self._start(self.relays, port, running, self.folder / "canned")

    @contextmanager
    def paced(self, relays: Sequence[str], stage: str) -> Iterator[tuple[int, list[Target]]]:
        """The paced upstream's port, and these relays in front of it."""
        with ExitStack() as running:
            port = free_port()
            running.enter_context(
                contenders.start_paced_upstream(port, cores=self.cores.load, folder=self.folder)
            )
            chosen = [name for name in relays if name in self.relays]
            yield port, self._start(chosen, port, running, self.folder / stage)

    def _start(
        self, names: Sequence[str], port: int, running: ExitStack, folder: Path
    ) -> list[Target]:
        targets = []
        for name in names:
            target = contenders.start(name, port, cores=self.cores.relay, folder=folder)
            if target.process is not None:
                running.enter_context(target.process)
            targets.append(target)
        return targets
