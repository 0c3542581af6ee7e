"""Every service fails, alone and in pairs, while people talk: nothing lost, and the books true.

`scripts/faults --help`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import aiohttp

from chuk.app import embedded_issuer
from chuk.settings import load
from trials.people import give
from trials.rig import Trial, trial_folder
from trials.turns import EUROS, Talk, Talker, all_settled, differences
from trials.verdict import Verdict, table
from trials.world import Fault, World, world

_TALKERS = 6
_FAULT_SECONDS = 2.5
_RECOVERY = 30.0
_SETTLING = 40.0
_PLAN = 16.0
_STRIPES_PATIENCE = 5.0


@dataclass
class Outcome:
    """What became of one case.

    Attributes:
        recovery: seconds from mending to answers for everybody.
        wrong: all that must not be.
    """

    name: str
    ends: Counter[str] = field(default_factory=Counter)
    recovery: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def row(self) -> list[object]:
        """A line of the matrix."""
        others = sum(count for end, count in self.ends.items() if end != "done")
        told = " ".join(f"{end}:{n}" for end, n in sorted(self.ends.items()) if end != "done")
        verdict = "ok" if not self.wrong else "; ".join(sorted(set(self.wrong)))
        return [self.name, self.ends["done"], others, self.recovery, verdict, told]


async def case(here: World, faults: Sequence[Fault]) -> Outcome:
    """People talk, these faults strike, are mended, and all must be as if they had not been."""
    outcome = Outcome(" + ".join(fault.name for fault in faults))
    trial = here.trial
    talkers = await _talkers(here)
    buyer = await _buyer(here)
    talk = Talk(trial, talkers)
    talking = asyncio.create_task(talk.run())
    try:
        async with asyncio.timeout(_RECOVERY):
            await talk.has_ended(_TALKERS, end="done")
        await _struck(faults, talk, here, buyer)
        mended = time.monotonic()
        try:
            async with asyncio.timeout(_RECOVERY):
                await talk.has_ended(2 * _TALKERS, end="done")
        except TimeoutError:
            outcome.wrong.append("it does not answer again")
        outcome.recovery = time.monotonic() - mended
    finally:
        talk.stop()
        await talking
    outcome.ends = talk.ends
    outcome.wrong += talk.lost
    if not trial.is_alive:
        outcome.wrong.append("the server died")
        return outcome
    if not await all_settled(trial, talkers, seconds=_SETTLING):
        outcome.wrong.append("a hold that stays open")
    outcome.wrong += await differences(trial, talkers)
    outcome.wrong += await _paid_once(here, buyer)
    return outcome


async def _struck(faults: Sequence[Fault], talk: Talk, here: World, buyer: UUID) -> None:
    """The faults, for a while, with whatever a user and Stripe do in the meantime."""
    try:
        for fault in faults:
            await asyncio.to_thread(fault.begin)
        async with asyncio.TaskGroup() as meanwhile:
            meanwhile.create_task(_deliver(here, times=1))
            meanwhile.create_task(_look(here.trial, here, buyer))
            # However slow they are, some turns end under it, or the time is up.
            with suppress(TimeoutError):
                async with asyncio.timeout(_FAULT_SECONDS):
                    await talk.has_ended(1_000_000)
    finally:
        for fault in faults:
            await asyncio.to_thread(fault.end)


async def _talkers(here: World) -> list[Talker]:
    ids = [uuid4() for _ in range(_TALKERS)]
    await here.meet(ids)
    await give(here.trial.environ, here.trial.folder, ids, euros=EUROS)
    return [
        Talker(user, _bearer(here, user), over_socket=number % 2 == 1)
        for number, user in enumerate(ids)
    ]


def _bearer(here: World, user: UUID) -> dict[str, str]:
    if here.project is not None:
        return {"Authorization": f"Bearer {here.project.user_token(user)}"}
    issuer = embedded_issuer(load(dict(here.trial.environ), directory=here.trial.folder))
    assert issuer is not None
    return {"Authorization": f"Bearer {issuer.token(user)}"}


async def _buyer(here: World) -> UUID:
    """Somebody who has just paid at Stripe; no event of it has arrived yet."""
    user = uuid4()
    await here.meet([user])
    url = f"{here.trial.url}/v1/stripe/create-checkout-session"
    for _ in range(20):
        async with here.trial.client.post(url, headers=_bearer(here, user)) as answer:
            body = await answer.json()
            if answer.status == 200:
                break
        await asyncio.sleep(0.2)
    here.stripe.account.complete_checkout(body["data"]["checkout_url"].rpartition("/")[2])
    return user


async def _deliver(here: World, *, times: int) -> bool:
    """Send Stripe's events of this case; whether all were taken."""
    with suppress(aiohttp.ClientError, TimeoutError):
        events = list(here.stripe.account.events.values())[-8:]
        url = f"{here.trial.url}/webhooks/stripe"
        async with asyncio.timeout(_STRIPES_PATIENCE):
            statuses = await here.stripe.deliver(url, *events, at_once=True, times=times)
        return set(statuses) == {200}
    return False


async def _look(trial: Trial, here: World, user: UUID) -> None:
    """Pages that people open in the meantime, and leave where they see nothing for long."""
    patience = aiohttp.ClientTimeout(total=_FAULT_SECONDS)
    for path in ("/v1/user/status", "/v1/user/usage", "/v1/models_info", "/health"):
        url, headers = f"{trial.url}{path}", _bearer(here, user)
        with suppress(TimeoutError):
            async with trial.client.get(url, headers=headers, timeout=patience) as answer:
                await answer.read()


async def _paid_once(here: World, buyer: UUID) -> list[str]:
    """As Stripe does, send what was not taken again; then the credits are there, once."""
    for _ in range(30):
        if await _deliver(here, times=2):
            break
        await asyncio.sleep(0.5)
    else:
        return ["an event that is never taken"]
    url = f"{here.trial.url}/v1/user/status"
    async with here.trial.client.get(url, headers=_bearer(here, buyer)) as answer:
        body = await answer.json()
        if answer.status != 200:
            return [f"a status of {answer.status}"]
    has = body["data"]["credits_remaining"]
    return [] if has == _PLAN else [f"a payment that became {has} EUR"]


async def faults(keepers: Sequence[str], only: Sequence[str], *, alone: bool) -> int:
    """Run the cases; returns the exit code."""
    verdict = Verdict("faults")
    rows: list[list[object]] = []
    heads = ["what fails", "whole", "told", "s to recover", "verdict", "how turns ended besides"]
    for keeper in keepers:
        with trial_folder() as folder:
            async with world(keeper, folder) as here:
                print(f"== books: {keeper}; the disk is full by: {here.disk.way}", flush=True)
                chosen = [
                    each
                    for each in here.cases()
                    if (not alone or len(each) == 1)
                    and (not only or {fault.name for fault in each} == set(only))
                ]
                for number, each in enumerate(chosen, 1):
                    outcome = await case(here, each)
                    rows.append(outcome.row())
                    print(f"{number}/{len(chosen)} {' | '.join(map(str, rows[-1]))}", flush=True)
                    if not here.trial.is_alive:
                        break
                verdict.expect(here.trial.is_alive, "one process lived through all of it")
                if keeper == "sqlite":
                    verdict.expect(await here.trial.settled(), "no hold is left open")
    print(table(heads, rows))
    bad = [row for row in rows if row[4] != "ok"]
    verdict.expect(bool(rows), f"{len(rows)} cases")
    verdict.expect(not bad, f"{len(bad)} cases in which something was lost or not true")
    return verdict.code()


def main(given: Sequence[str] | None = None) -> int:
    """Read the command line and let everything fail; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Upstream, Redis, the books' Postgres, Stripe and the disk are down, slow, "
        "full or broken, one by one and in pairs, while people talk. Exits with 1 where a turn "
        "has no end or two, an answer has a hole, somebody pays twice, for nothing or not at all, "
        "or the server has to be started again.",
    )
    parser.add_argument("--books", choices=["sqlite", "postgres"], help="with these books alone")
    parser.add_argument("--only", metavar="NAME[,NAME]", help="one case: redis-down,disk-full")
    parser.add_argument("--alone", action="store_true", help="no pairs")
    parser.add_argument("--quick", action="store_true", help="one pair: shows that it works")
    options = parser.parse_args(given)
    only = options.only.split(",") if options.only else []
    keepers = [options.books] if options.books else ["sqlite", "postgres"]
    if options.quick:
        keepers, only = ["sqlite"], ["upstream-slow", "redis-down"]
    return asyncio.run(faults(keepers, only, alone=options.alone))


if __name__ == "__main__":
    sys.exit(main())
