"""The server as strangers find it: over its public address, through whatever stands in front."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509

from chuk import __version__
from chuk.doctor.certificates import judge_dates
from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn

_NAME = "public address"
_HSTS = "Strict-Transport-Security"
_PATIENCE = 10.0
_START = "Start the server, or look at DNS, the firewall and the proxy."


async def look(examined: Examined) -> list[Finding]:
    """Ask for its health there."""
    url = examined.public_url
    if not url:
        advice = "Set CHUK_PUBLIC_URL: links to pictures and back from Stripe are made of it."
        return [warn(_NAME, "CHUK_PUBLIC_URL is not set", advice)]
    try:
        shown = await _certificate(url, examined.trust)
        async with examined.session.get(
            f"{url}/health", allow_redirects=False, ssl=examined.trust
        ) as answer:
            body: Any = await answer.json(content_type=None)
            found = [judge_health(url, answer.status, body)]
            has_hsts = _HSTS in answer.headers
    except ssl.SSLCertVerificationError as error:
        says = f"{url} shows a certificate that is refused: {error.verify_message}"
        return [fail(_NAME, says, "Renew it; the file must hold the whole chain, for this host.")]
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return [fail(_NAME, f"{url} cannot be reached: {type(error).__name__}", _START)]
    except ValueError:
        return [fail(_NAME, f"{url}/health answers with something that is not ours", _START)]
    if shown is not None:
        found.append(judge_dates(_NAME, shown, datetime.now(UTC)))
        if not has_hsts:
            advice = f"Let the proxy send {_HSTS}, as config/nginx.conf and config/Caddyfile do."
            found.append(warn(_NAME, "browsers are not told to stay on HTTPS", advice))
    return found


def judge_health(url: str, status: int, body: Any) -> Finding:
    """What an answer to the question for its health means."""
    data = body.get("data", body) if isinstance(body, dict) else None
    if not isinstance(data, dict) or not {"status", "version"} <= data.keys():
        return fail(_NAME, f"{url}/health answers {status}, but not as this server does", _START)
    if status != 200:
        says = f"{url} is there, but not well: {data['status']}"
        return warn(_NAME, says, "Look into the server's log.")
    if data["version"] != __version__:
        says = f"{url} is served by version {data['version']}, and this is {__version__}"
        return warn(_NAME, says, "Ask the version that serves, or restart it.")
    return ok(_NAME, f"{url} is well")


async def _certificate(url: str, trust: ssl.SSLContext) -> x509.Certificate | None:
    """What is shown there; None where TLS is not spoken.

    Raises:
        SSLCertVerificationError: nobody would believe it.
        OSError, TimeoutError: nobody is there.
    """
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None
    async with asyncio.timeout(_PATIENCE):
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=trust)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return x509.load_der_x509_certificate(shown)
