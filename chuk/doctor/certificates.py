"""The certificate that this server itself shows: its dates, its chain, its names, its key."""

from __future__ import annotations

import asyncio
import ipaddress
import stat
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from chuk.doctor.examined import Examined
from chuk.doctor.findings import Finding, fail, ok, warn
from chuk.tls import Certificate, UnusableCertificate, is_readable_by_others

_NAME = "certificate"
_SOON = timedelta(days=14)
_RENEW = "Renew it, then send the server SIGHUP."


async def look(examined: Examined) -> list[Finding]:
    """Read the files as the server does."""
    return await asyncio.to_thread(_look, examined)


def _look(examined: Examined) -> list[Finding]:
    server = examined.settings.server
    if not server.tls_cert:
        return [ok(_NAME, "TLS ends elsewhere: CHUK_TLS_CERT is not set")]
    try:
        Certificate(server.tls_cert, server.tls_key)
        chain = x509.load_pem_x509_certificates(Path(server.tls_cert).read_bytes())
    except UnusableCertificate as error:
        return [fail(_NAME, f"{error.setting} {error.problem} ({error.file})", _RENEW)]
    except ValueError:
        return [fail(_NAME, f"{server.tls_cert} holds what is no certificate", _RENEW)]
    host = urlsplit(examined.public_url).hostname
    findings = [judge_dates(_NAME, chain[0], datetime.now(UTC)), judge_chain(chain)]
    if host:
        findings.append(judge_names(chain[0], host))
    if is_readable_by_others(server.tls_key):
        mode = stat.S_IMODE(Path(server.tls_key).stat().st_mode)
        says = f"{server.tls_key} has mode {mode:04o}: others may read the key"
        findings.append(warn(_NAME, says, f"chmod 600 {server.tls_key}"))
    return findings


def judge_dates(name: str, certificate: x509.Certificate, now: datetime) -> Finding:
    """Whether it is valid, and stays so for a while."""
    until, since = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if now > until:
        return fail(name, f"it has expired on {until:%Y-%m-%d}", _RENEW)
    if now < since:
        return fail(name, f"it is valid from {since:%Y-%m-%d %H:%M} on only", "Look at the clock.")
    says = f"it is valid until {until:%Y-%m-%d}"
    return warn(name, f"{says}, which is soon", _RENEW) if until - now < _SOON else ok(name, says)


def judge_chain(chain: list[x509.Certificate]) -> Finding:
    """Whether each is signed by the next, so that clients find their way to somebody they know."""
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            advice = "Put your certificate first, then each one's issuer (fullchain.pem)."
            return fail(_NAME, "the file's certificates do not make a chain", advice)
    if len(chain) > 1:
        return ok(_NAME, f"{len(chain)} certificates make a chain")
    if chain[0].issuer == chain[0].subject:
        advice = "Get one from an authority that clients know, such as Let's Encrypt."
        return warn(_NAME, "it is signed by itself, which no client trusts", advice)
    advice = "Use the file with the whole chain (fullchain.pem)."
    return warn(_NAME, "its issuer's certificate is not in the file", advice)


def judge_names(certificate: x509.Certificate, host: str) -> Finding:
    """Whether it is for the host that clients ask."""
    try:
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names: list[str] = []
    else:
        names = [
            *named.get_values_for_type(x509.DNSName),
            *(str(each) for each in named.get_values_for_type(x509.IPAddress)),
        ]
    if any(_covers(name.lower(), host) for name in names):
        return ok(_NAME, f"it is for {host}")
    says = (
        f"it is not for {host}, the host of CHUK_PUBLIC_URL, but for {', '.join(names) or 'none'}"
    )
    return fail(_NAME, says, "Get one for that host, or set CHUK_PUBLIC_URL right.")


def _covers(name: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(host)
    except ValueError:
        first, _, rest = host.partition(".")
        return name == host or (name == f"*.{rest}" and bool(first) and "." in rest)
