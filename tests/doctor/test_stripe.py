"""The plan's price, and the way of Stripe's events to this server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from chuk.billing.events import NEEDED, concerns_us
from chuk.doctor import stripe
from chuk.doctor.findings import Finding
from chuk.settings import Plan
from tests.adapters.raw_upstream import raw_upstream
from tests.adapters.raw_upstream import says as answers
from tests.conftest import StartServer
from tests.doctor.conftest import Examine, says, verdicts
from tests.fakes.stripe import PRICE, FakeStripe, Fault

_OURS = "https://api.example/webhooks/stripe"


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    """A Stripe account."""
    async with FakeStripe() as running:
        yield running


async def found(examine: Examine, fake: FakeStripe, **environ: str) -> list[Finding]:
    """What is found in that account, whose public address nobody can reach unless it is named."""
    async with examine(**fake.environ(), **environ) as examined:
        return await stripe.look(examined)


async def test_without_a_key_billing_is_off(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await stripe.look(examined)) == ["ok"]


async def test_all_is_well_through_the_real_webhook(
    examine: Examine, fake: FakeStripe, start_server: StartServer
) -> None:
    async with start_server(**fake.environ()) as server:
        fake.account.add_webhook(f"{server.url}/webhooks/stripe", *NEEDED)
        findings = await found(examine, fake, CHUK_PUBLIC_URL=server.url)
    assert verdicts(findings) == ["ok", "ok", "ok"]


def test_all_that_is_needed_concerns_us() -> None:
    assert all(map(concerns_us, NEEDED))
    assert not concerns_us("customer.created")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"active": False}, "not active"),
        ({"currency": "usd"}, "usd"),
        ({"recurring": None}, "month"),
        ({"recurring": {"interval": "year", "interval_count": 1}}, "month"),
        ({"recurring": {"interval": "month", "interval_count": 3}}, "month"),
    ],
)
async def test_a_price_that_cannot_be_sold_at_is_a_failure(
    examine: Examine, fake: FakeStripe, change: dict[str, Any], word: str
) -> None:
    fake.account.prices[PRICE] |= change
    assert word in says(await found(examine, fake), "fail")


async def test_a_price_that_is_not_there_is_a_failure(examine: Examine, fake: FakeStripe) -> None:
    del fake.account.prices[PRICE]
    assert PRICE in says(await found(examine, fake), "fail")


async def test_another_amount_is_told(examine: Examine, fake: FakeStripe) -> None:
    fake.account.prices[PRICE]["unit_amount"] = 2500
    assert verdicts(stripe.judge_price(fake.account.prices[PRICE], Plan())) == ["warn"]


async def test_a_key_that_is_refused_is_told_without_itself(
    examine: Examine, fake: FakeStripe
) -> None:
    fake.secret_key = "sk_test_another"
    async with examine(**{**fake.environ(), "STRIPE_SECRET_KEY": "sk_test_hush"}) as examined:
        findings = await stripe.look(examined)
    assert verdicts(findings)[0] == "fail"
    assert "hush" not in str(findings)


async def test_a_key_that_may_not_list_the_endpoints_is_told(
    examine: Examine, fake: FakeStripe
) -> None:
    fake.fail(Fault.DOWN, "/v1/webhook_endpoints", times=None)
    assert "list" in says(await found(examine, fake), "warn")


def judged(fake: FakeStripe, url: str = "https://api.example") -> list[Finding]:
    """What the account's endpoints mean for a server at this address."""
    return stripe.judge_endpoints(list(fake.account.webhook_endpoints.values()), url, "test")


def test_no_endpoint_of_ours_is_a_failure(fake: FakeStripe) -> None:
    fake.account.add_webhook("https://other.example/webhooks/stripe", *NEEDED)
    assert _OURS in says(judged(fake), "fail")


def test_so_is_one_that_is_disabled(fake: FakeStripe) -> None:
    fake.account.add_webhook(_OURS, *NEEDED)["status"] = "disabled"
    assert "disabled" in says(judged(fake), "fail")


@pytest.mark.parametrize("missing", sorted(NEEDED))
def test_so_is_one_without_a_needed_event(fake: FakeStripe, missing: str) -> None:
    fake.account.add_webhook(_OURS, *(NEEDED - {missing}), "customer.created")
    assert says(judged(fake), "fail").endswith(missing)


def test_one_for_all_events_is_well_and_two_are_told(fake: FakeStripe) -> None:
    fake.account.add_webhook(_OURS, "*")
    assert verdicts(judged(fake)) == ["ok"]
    fake.account.add_webhook(_OURS, *NEEDED)
    assert verdicts(judged(fake)) == ["warn", "ok"]


def test_without_a_public_address_nobody_knows_which_is_ours(fake: FakeStripe) -> None:
    assert verdicts(judged(fake, "")) == ["warn"]


@pytest.mark.parametrize("status", [200, 301, 401, 403, 404, 502, 503])
async def test_a_webhook_that_is_not_reached_is_a_failure(
    examine: Examine, fake: FakeStripe, status: int
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/webhooks/stripe", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    fake.account.add_webhook(f"{url}/webhooks/stripe", "*")
    try:
        findings = await found(examine, fake, CHUK_PUBLIC_URL=url)
    finally:
        await runner.cleanup()
    assert verdicts(findings) == ["ok", "ok", "fail"]
    assert "off" in findings[2].says if status == 503 else str(status) in findings[2].says


async def test_so_is_one_where_nobody_answers(examine: Examine, fake: FakeStripe) -> None:
    async with raw_upstream(answers()) as url:
        fake.account.add_webhook(f"{url}/webhooks/stripe", "*")
        findings = await found(examine, fake, CHUK_PUBLIC_URL=url)
    assert "cannot be reached" in says(findings, "fail")
