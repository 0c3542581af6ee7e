"""Stripe: the plan's price, and whether its events find this server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from chuk.adapters.stripe_client import Missing, StripeClient, is_live
from chuk.billing.events import NEEDED
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn
from chuk.errors import ChukError
from chuk.settings import Plan

WEBHOOK = "/webhooks/stripe"
_PRICE, _EVENTS = "price", "webhook"
_PAGE = 100


async def look(examined: Examined) -> list[Finding]:
    """Ask Stripe, and the webhook over its public address."""
    stripe = examined.settings.stripe
    if not stripe.secret_key:
        return [ok("billing", "off: STRIPE_SECRET_KEY is not set")]
    client = StripeClient(
        examined.session,
        secret_key=stripe.secret_key,
        base_url=stripe.api_base,
        timeout=stripe.timeout,
    )
    findings = await _price(client, stripe.price_id, examined.settings.plan)
    findings += await _endpoint(client, examined.public_url, is_live(stripe.secret_key))
    if examined.public_url:
        findings.append(await _knock(examined.session, f"{examined.public_url}{WEBHOOK}"))
    return findings


async def _price(client: StripeClient, price_id: str, plan: Plan) -> list[Finding]:
    advice = "Make a monthly price in EUR in Stripe's dashboard, and set STRIPE_PRICE_ID to its id."
    try:
        return judge_price(await client.get(f"/v1/prices/{price_id}"), plan)
    except Missing:
        return [fail(_PRICE, f"Stripe knows no price {price_id} for this key", advice)]
    except ChukError as error:
        return [fail(_PRICE, f"Stripe does not tell: {error.message}", "Look at the key.")]


def judge_price(price: Mapping[str, Any], plan: Plan) -> list[Finding]:
    """Whether the plan can be sold at it."""
    advice = "Take another price, or make one: prices cannot be changed."
    name, recurring = price.get("id"), price.get("recurring") or {}
    wrong = []
    if not price.get("active"):
        wrong.append("is not active")
    if price.get("currency") != "eur":
        wrong.append(f"is in {price.get('currency')}, not in eur")
    if (recurring.get("interval"), recurring.get("interval_count", 1)) != ("month", 1):
        wrong.append("is not for a month")
    if wrong:
        return [fail(_PRICE, f"{name} {', '.join(wrong)}", advice)]
    if price.get("unit_amount") != plan.price * 100:
        says = (
            f"{name} is {price.get('unit_amount')} cents, but CHUK_PLAN_PRICE says {plan.price} EUR"
        )
        return [warn(_PRICE, says, "Stripe's is what is paid: let CHUK_PLAN_PRICE say the same.")]
    return [ok(_PRICE, f"{name} is active: {plan.price} EUR a month")]


async def _endpoint(client: StripeClient, public_url: str, live: bool) -> list[Finding]:
    try:
        listed = await client.get("/v1/webhook_endpoints", limit=_PAGE)
    except ChukError as error:
        # A restricted key may well not be allowed to list them.
        says = f"Stripe does not list the webhook endpoints: {error.message}"
        return [warn(_EVENTS, says, "Look at the endpoint and its events in the dashboard.")]
    rows = listed.get("data")
    endpoints = (
        [each for each in rows if isinstance(each, Mapping)] if isinstance(rows, list) else []
    )
    return judge_endpoints(endpoints, public_url, "live" if live else "test")


def judge_endpoints(
    endpoints: Sequence[Mapping[str, Any]], public_url: str, mode: str
) -> list[Finding]:
    """Whether one of them is ours, switched on, and sends all that is needed."""
    if not public_url:
        says = f"of {len(endpoints)} endpoint(s), CHUK_PUBLIC_URL does not say which is ours"
        return [warn(_EVENTS, says, "Set CHUK_PUBLIC_URL.")]
    url = f"{public_url}{WEBHOOK}"
    ours = [each for each in endpoints if each.get("url") == url]
    if not ours:
        advice = f"Add an endpoint for {url} in Stripe's dashboard, in {mode} mode."
        return [fail(_EVENTS, f"Stripe sends no events to {url}", advice)]
    enabled = [each for each in ours if each.get("status") == "enabled"]
    if not enabled:
        return [fail(_EVENTS, f"the endpoint for {url} is disabled", "Enable it in the dashboard.")]
    sent = {event for each in enabled for event in each.get("enabled_events") or ()}
    missing = sorted(NEEDED - sent)
    if missing and "*" not in sent:
        says = f"Stripe does not send {', '.join(missing)}"
        return [fail(_EVENTS, says, "Add them to the endpoint's events.")]
    findings = []
    if len(enabled) > 1:
        says = f"{len(enabled)} endpoints send to {url}, each signed with a secret of its own"
        findings.append(warn(_EVENTS, says, "Keep the one whose secret STRIPE_WEBHOOK_SECRET is."))
    versions = sorted({each.get("api_version") or "the account's" for each in enabled})
    # Of any version: an event only says whom to look at again.
    return [
        *findings,
        ok(_EVENTS, f"all needed events are sent (API version {', '.join(versions)})"),
    ]


async def _knock(session: aiohttp.ClientSession, url: str) -> Finding:
    """An event that nobody has signed must come as far as the signature's check."""
    advice = "Let the proxy pass /webhooks/ on, for everybody and unchanged."
    try:
        async with session.post(url, data=b"{}", allow_redirects=False) as answer:
            status = answer.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return fail(_EVENTS, f"{url} cannot be reached: {type(error).__name__}", advice)
    if status == 400:
        return ok(_EVENTS, f"{url} is reached, and refuses what nobody has signed")
    if status == 503:
        says = f"{url} answers that billing is off"
        return fail(_EVENTS, says, "Restart the server with these settings.")
    return fail(_EVENTS, f"{url} answers {status} to an event that nobody has signed", advice)
