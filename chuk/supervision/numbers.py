"""What the whole crew has counted: each worker is asked, and every number says whose it is.

Workers answer at sockets in the server's own folder; the supervisor alone has the port that
Prometheus asks. So it stays the same whichever workers come and go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from pathlib import Path

import aiohttp
from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric

from chuk.logs import log_failure, logger
from chuk.metrics.families import counter, gauges
from chuk.metrics.merging import merged, read
from chuk.supervision.member import Member

_PATIENCE = 2.0

_log = logger("supervisor")


class CrewNumbers:
    """Asks every worker.

    Args:
        members: those that there are now.

    Attributes:
        deaths: workers that ended without being told to.
        missed: times that a worker which serves did not say its numbers.
    """

    def __init__(self, members: Callable[[], AbstractSet[Member]]) -> None:
        self.deaths = self.missed = 0
        self._members = members
        self._process = ProcessCollector(registry=None)

    async def families(self) -> list[Metric]:
        """Everybody's numbers, the supervisor's own included."""
        members = [each for each in self._members() if each.is_ready and each.numbers is not None]
        texts = await asyncio.gather(*(self._asked(each.numbers) for each in members))
        own = [*self._own(self._members()), *self._process.collect()]
        documents = [({"worker": "supervisor"}, own)]
        for member, text in zip(members, texts, strict=True):
            if text is not None:
                labels = {"worker": str(member.door), "process": str(member.process_id)}
                documents.append((labels, await asyncio.to_thread(read, text)))
        return merged(documents)

    def _own(self, members: Collection[Member]) -> list[Metric]:
        ready = sum(each.is_ready for each in members)
        states = {"ready": ready, "starting": len(members) - ready}
        return [
            gauges("chuk_workers", "Processes that serve, or are about to.", "state", states),
            counter("chuk_worker_deaths", "Workers that ended unasked.", self.deaths),
            counter("chuk_worker_numbers_missed", "Workers that did not answer.", self.missed),
        ]

    async def _asked(self, path: Path | None) -> str | None:
        """What one worker says; None where it does not, which is counted and logged."""
        try:
            async with (
                asyncio.timeout(_PATIENCE),
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
                session.get("http://worker/metrics") as answer,
            ):
                answer.raise_for_status()
                return await answer.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # It may just have ended.
            self.missed += 1
            _log.warning("worker_numbers_missed", error=type(error).__name__, missed=self.missed)
        except Exception as error:
            self.missed += 1
            log_failure("supervisor", error)
        return None
