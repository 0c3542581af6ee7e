"""Settings that are each right, and make no sense together."""

from __future__ import annotations

import binascii
import difflib
import ipaddress
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import orjson

from chuk.adapters.stripe_client import is_live
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn
from chuk.settings import describe

_NAME = "settings"
_HERE = ("127.0.0.1", "localhost", "::1")
# A network wider than this holds strangers.
_WIDEST = {4: 8, 6: 32}
# A variable that is spelt so much like a setting is meant to be it.
_ALIKE = 0.8
_OURS, _NO_SETTING = "CHUK_", ("CHUK_CONFIG",)
_USUAL_RATES = Decimal("0.5"), Decimal("1.5")


async def look(examined: Examined) -> list[Finding]:
    """Go through all that is known to go wrong."""
    rules: tuple[Callable[[Examined], Iterator[Finding]], ...] = (
        _edge,
        _faces,
        _money,
        _keys,
        _parts,
        _names,
    )
    findings = [finding for rule in rules for finding in rule(examined)]
    return findings or [ok(_NAME, "they make sense together")]


def _edge(examined: Examined) -> Iterator[Finding]:
    """Who is in front, and whom it is believed."""
    server = examined.settings.server
    wide = [text for text in server.trusted_proxies if _is_wide(text)]
    if wide:
        says = f"CHUK_TRUSTED_PROXIES has {wide[0]}: any client may say from where it comes"
        yield fail(_NAME, says, "Name the proxy's own address only.")
    is_open = server.host not in _HERE
    if is_open and not server.tls_cert and not server.trusted_proxies:
        says = f"the server listens on {server.host} without TLS and without a proxy"
        yield warn(_NAME, says, "Set CHUK_TLS_CERT and CHUK_TLS_KEY, or CHUK_HOST=127.0.0.1.")
    if not examined.is_production:
        return
    if examined.public_url.startswith("http://"):
        says = "CHUK_PUBLIC_URL is http: tokens and messages can be read on their way"
        yield fail(_NAME, says, "Serve HTTPS, and set CHUK_PUBLIC_URL to it.")
    elif not server.tls_cert and not server.trusted_proxies:
        says = "a proxy stands in front, but CHUK_TRUSTED_PROXIES is empty: all clients are one"
        yield warn(_NAME, says, "CHUK_TRUSTED_PROXIES=127.0.0.1, or the proxy's address.")


def _faces(examined: Examined) -> Iterator[Finding]:
    """What strangers get to see."""
    settings, server = examined.settings, examined.settings.server
    if not examined.is_production:
        return
    if server.console == "on":
        says = "the console is on where strangers come"
        yield warn(_NAME, says, "CHUK_CONSOLE=off, unless it is meant for them.")
    if server.wire_profile == "envelope":
        says = "answers are in the profile `envelope`; the released app reads `bare`"
        yield warn(_NAME, says, "CHUK_WIRE_PROFILE=bare, if that app is served.")
    plain = [origin for origin in server.cors_origins if _is_plain(origin)]
    if plain:
        says = f"pages of {plain[0]} may call, and everybody on their way can change them"
        yield warn(_NAME, says, "Leave http origins out of CHUK_CORS_ORIGINS.")
    if settings.log.level == "debug":
        yield warn(_NAME, "the log tells everything", "CHUK_LOG_LEVEL=info")
    if not settings.supabase.url:
        says = "nobody can sign up: tokens come from `chuk token` alone"
        yield warn(_NAME, says, "Set SUPABASE_URL.")


def _money(examined: Examined) -> Iterator[Finding]:
    """What is paid, and for what."""
    settings, stripe = examined.settings, examined.settings.stripe
    least, most = _USUAL_RATES
    if not least <= settings.prices.usd_to_eur <= most:
        says = f"a dollar is {settings.prices.usd_to_eur} euros by CHUK_USD_TO_EUR"
        yield warn(_NAME, says, "Look whether it is the wrong way round.")
    if settings.plan.credits > settings.plan.price:
        says = "a month's credits are worth more than its price"
        yield warn(_NAME, says, "Lower CHUK_PLAN_CREDITS.")
    if not stripe.secret_key:
        return
    if stripe.secret_key.startswith("pk_"):
        says = "STRIPE_SECRET_KEY is a publishable key, with which nothing can be done"
        yield fail(_NAME, says, "Take the secret key, sk_ or rk_.")
    if not stripe.webhook_secret.startswith("whsec_"):
        says = "STRIPE_WEBHOOK_SECRET does not look like one: it begins with whsec_"
        yield warn(_NAME, says, "Take the signing secret of the webhook endpoint.")
    live = is_live(stripe.secret_key)
    if live and not examined.is_production:
        says = "real money is taken, but CHUK_PUBLIC_URL names no public address"
        yield fail(_NAME, says, "Set CHUK_PUBLIC_URL, or use a test key.")
    if examined.is_production and not live:
        says = "STRIPE_SECRET_KEY is not of live mode: nobody really pays"
        yield warn(_NAME, says, "Use the live key, price and webhook secret.")


def _keys(examined: Examined) -> Iterator[Finding]:
    """Keys of the wrong kind."""
    key = examined.settings.supabase.service_role_key
    if key.startswith("sb_publishable_") or _role_in(key) not in (None, "service_role"):
        says = "SUPABASE_SERVICE_ROLE_KEY is not the service role's: it may not touch the books"
        yield fail(_NAME, says, "Take the project's service_role (or secret) key.")


def _parts(examined: Examined) -> Iterator[Finding]:
    """Several processes, and what they share."""
    settings, redis = examined.settings, urlsplit(examined.settings.redis.url)
    if settings.server.workers > 1 and not settings.redis.url:
        says = f"{settings.server.workers} workers need REDIS_URL, and will not start"
        yield fail(_NAME, says, "Set REDIS_URL, or CHUK_WORKERS=1.")
    if redis.scheme == "redis" and redis.hostname not in (*_HERE, None) and not redis.password:
        says = f"Redis at {redis.hostname} is asked without a password and without TLS"
        yield warn(_NAME, says, "Use rediss:// with a password, or keep Redis on this machine.")


def _names(examined: Examined) -> Iterator[Finding]:
    """Variables and credentials that nobody reads, because they are spelt otherwise."""
    known = [setting.env for setting in describe()]
    models = examined.settings.upstream.models_file
    named = models.read_text("utf-8") if models.is_file() else ""
    for name in sorted(set(examined.settings.variables).difference(known, _NO_SETTING)):
        near = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
        if (near or name.startswith(_OURS)) and name not in named:
            advice = f"Name it {near[0]}, or remove it." if near else "Remove it."
            yield warn(_NAME, f"{name} is set, and no setting has that name", advice)


def _is_wide(text: str) -> bool:
    network = ipaddress.ip_network(text)
    return network.prefixlen < _WIDEST[network.version]


def _is_plain(origin: str) -> bool:
    parts = urlsplit(origin)
    return parts.scheme == "http" and parts.hostname not in _HERE


def _role_in(key: str) -> str | None:
    """The role that a key of the older kind, a JWT, is for; None where it does not say."""
    parts = key.split(".")
    if len(parts) != 3:
        return None
    try:
        claims: Any = orjson.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return str(claims["role"])
    except (binascii.Error, ValueError, LookupError, TypeError):
        return None
