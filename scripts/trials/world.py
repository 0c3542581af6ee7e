"""Everything around the server, each service behind a door, and every way each of them can fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from uuid import UUID

from tests.fakes.openrouter import FakeOpenRouter
from tests.fakes.openrouter_replies import Reply
from tests.fakes.stripe import FakeStripe
from tests.fakes.supabase_auth import SECRET
from tests.fakes.supabase_project import FakeSupabaseProject
from tests.redis_server import RedisServer
from trials.disk import Disk, small_disk
from trials.doors import Door
from trials.rig import UNLIMITED, Trial, on_trial

_PATIENT_FOR_A_SECOND = {
    "CHUK_UPSTREAM_CONNECT_TIMEOUT": "1",
    "CHUK_UPSTREAM_FIRST_BYTE_TIMEOUT": "1",
    "CHUK_UPSTREAM_READ_TIMEOUT": "1",
    "CHUK_ROUTING_BREAKER_PAUSE": "0.5",
    "CHUK_ROUTING_BREAKER_LONGEST_PAUSE": "1",
    "CHUK_SUPABASE_TIMEOUT": "1",
    "CHUK_STRIPE_TIMEOUT": "1",
    "CHUK_REDIS_TIMEOUT": "0.3",
    "CHUK_RESUME_GRACE": "2",
    "CHUK_CREDITS_HOLD_LEASE": "3",
    "CHUK_CREDITS_RECONCILE_INTERVAL": "0.3",
    "CHUK_CREDITS_RECONCILE_ATTEMPTS": "3",
}


@dataclass(frozen=True)
class Fault:
    """One way in which one service fails.

    Attributes:
        service: of its several ways only one can be had at a time.
        begin, end: what makes it fail, and what mends it.
    """

    service: str
    way: str
    begin: Callable[[], object]
    end: Callable[[], object]

    @property
    def name(self) -> str:
        return f"{self.service}-{self.way}"


@dataclass
class World:
    """A server and all that it needs.

    Attributes:
        keeper: whose books it has: sqlite or postgres.
        paths: doors by the service behind them.
    """

    keeper: str
    trial: Trial
    upstream: FakeOpenRouter
    redis: RedisServer
    stripe: FakeStripe
    project: FakeSupabaseProject | None
    disk: Disk
    doors: Mapping[str, Door]

    def faults(self) -> list[Fault]:
        """Every way in which one of the services can fail."""
        found = [
            Fault(service, way, begin, door.unlock)
            for service, door in self.doors.items()
            for way, begin in (("down", door.shut), ("slow", door.jam))
        ]
        redis, disk, project = self.redis, self.disk, self.project
        found += [
            Fault("redis", "down", redis.stop, redis.start),
            Fault("redis", "slow", redis.freeze, redis.thaw),
            Fault("redis", "full", lambda: self._redis_limit(1), lambda: self._redis_limit(0)),
            Fault("disk", "full", lambda: disk.fill(self.trial.pid), disk.clear),
        ]
        if project is None:
            found.append(Fault("disk", "stuck", disk.stick, disk.clear))
        else:
            for way in ("error", "lost"):
                begin = _failing(project, way)
                found.append(Fault("postgres", way, begin, project.heal))
        return found

    def cases(self) -> list[tuple[Fault, ...]]:
        """Each fault alone, then every two of different services together."""
        faults = self.faults()
        alone: list[tuple[Fault, ...]] = [(each,) for each in faults]
        pairs = [pair for pair in combinations(faults, 2) if pair[0].service != pair[1].service]
        if self.keeper == "postgres":
            # Without its part in it a case is the same as with the other keeper.
            alone = [case for case in alone if case[0].service == "postgres"]
            pairs = [pair for pair in pairs if "postgres" in (pair[0].service, pair[1].service)]
        return [*alone, *pairs]

    async def meet(self, users: list[UUID]) -> None:
        """Let people exist where somebody else signs them in."""
        for number, user in enumerate(users):
            if self.project is not None:
                await self.project.add_user(user, f"{user}-{number}@example.org")

    def _redis_limit(self, limit: int) -> None:
        with self.redis.client() as client:
            client.config_set("maxmemory", limit)


@asynccontextmanager
async def world(keeper: str, folder: Path) -> AsyncIterator[World]:
    """The world with this keeper of the books, and a server in it that is ready."""
    async with AsyncExitStack() as running:
        disk = running.enter_context(small_disk(folder / f"{keeper}-data"))
        upstream = await running.enter_async_context(FakeOpenRouter())
        # Answers that take a while, so that every fault strikes in the middle of some.
        for model in upstream.models:
            for endpoint in model.endpoints:
                upstream.endpoints[endpoint.tag] = Reply(delay=0.02)
        stripe = await running.enter_async_context(FakeStripe())
        redis = RedisServer()
        redis.start()
        running.callback(redis.close)
        doors = {
            "upstream": await running.enter_async_context(Door(upstream.base_url)),
            "stripe": await running.enter_async_context(Door(stripe.base_url)),
        }
        environ = {
            **UNLIMITED,
            **_PATIENT_FOR_A_SECOND,
            "CHUK_DATA_DIR": str(disk.folder),
            "TMPDIR": str(disk.folder),
            "REDIS_URL": redis.url,
            "OPENROUTER_API_KEY": upstream.api_key,
            "OPENROUTER_BASE_URL": doors["upstream"].address,
            **stripe.environ(),
            "STRIPE_API_BASE": doors["stripe"].address,
        }
        project = None
        if keeper == "postgres":
            project = await running.enter_async_context(FakeSupabaseProject())
            running.callback(project.heal)
            doors["postgres"] = await running.enter_async_context(Door(project.url))
            environ |= {
                # Its address names the tokens' issuer too, so it is the door's everywhere.
                "SUPABASE_URL": doors["postgres"].address,
                "SUPABASE_SERVICE_ROLE_KEY": project.service_role_key,
                "SUPABASE_JWT_SECRET": SECRET,
            }
            project.address = doors["postgres"].address
        trial = await running.enter_async_context(on_trial(environ, folder))
        yield World(keeper, trial, upstream, redis, stripe, project, disk, doors)


def _failing(project: FakeSupabaseProject, way: str) -> Callable[[], None]:
    return lambda: project.fail(way)  # type: ignore[arg-type]
