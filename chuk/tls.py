"""TLS without a proxy: the certificate in the files that the settings name."""

from __future__ import annotations

import asyncio
import signal
import ssl
import stat
from pathlib import Path

from aiohttp import web

from chuk.logs import logger
from chuk.sd_notify import Notifier
from chuk.settings import Settings, SettingsError

# Forward secrecy and authenticated encryption only; those of 1.3 are all so.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
HSTS = "max-age=31536000"
"""For how long a browser asks over HTTPS only: a year, in seconds."""

_log = logger("tls")


class UnusableCertificate(Exception):
    """The files are not a certificate chain and its key. Says which one, and why.

    Attributes:
        setting: which of the two.
        file: what it names.
    """

    def __init__(self, setting: str, problem: str, file: str) -> None:
        super().__init__(problem)
        self.setting, self.problem, self.file = setting, problem, file


class Certificate:
    """What this server shows who it is by.

    Args:
        chain, key: files in PEM.

    Attributes:
        context: for every listening socket. New handshakes find the newest certificate in it, and
            connections that are open keep theirs.

    Raises:
        UnusableCertificate: the files cannot be used.
    """

    def __init__(self, chain: str, key: str) -> None:
        self._chain, self._key = chain, key
        self._newest = self.context = _context(chain, key)
        # A pair that was half replaced would be lost if it were loaded into a context in use; so
        # each has a context of its own, which a handshake changes over to.
        self.context.sni_callback = self._change_over

    def reload(self) -> bool:
        """Take what is in the files now; where that cannot be used, keep what there is.

        Returns:
            Whether new handshakes use what is in the files.
        """
        try:
            self._newest = _context(self._chain, self._key)
        except UnusableCertificate as error:
            _log.error(
                "certificate_kept", setting=error.setting, file=error.file, reason=error.problem
            )
            return False
        _log.info("certificate_loaded", file=self._chain)
        return True

    def _change_over(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        connection.context = self._newest


def certificate(settings: Settings) -> Certificate | None:
    """The certificate that the settings name; None where they name none.

    Raises:
        SettingsError: the files cannot be used.
    """
    server = settings.server
    if not server.tls_cert:
        return None
    try:
        return Certificate(server.tls_cert, server.tls_key)
    except UnusableCertificate as error:
        raise SettingsError(error.setting, error.problem, error.file) from None


def reload_on_hangup(shown: Certificate | None, notifier: Notifier | None = None) -> None:
    """Take the certificate anew at each SIGHUP from now on; there may be none to take.

    Args:
        notifier: tells the service manager of it, where this is the process that it knows.
    """

    def hang_up() -> None:
        if notifier is not None:
            notifier.reloading()
        if shown is None:
            _log.info("no_certificate_to_reload")
        else:
            shown.reload()
        if notifier is not None:
            notifier.ready()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)


async def insist(_request: web.Request, response: web.StreamResponse) -> None:
    """Where TLS ends here: tell browsers to come back over it. For `on_response_prepare`."""
    response.headers["Strict-Transport-Security"] = HSTS


def is_readable_by_others(file: str) -> bool:
    """Whether more than a file's owner may read it."""
    return bool(Path(file).stat().st_mode & _READABLE_BY_OTHERS)


def _context(chain: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        if is_readable_by_others(key):
            _log.warning("tls_key_is_readable_by_others", file=key, hint="chmod 600")
        context.load_cert_chain(chain, key, password=_no_password)
    except _Locked:
        raise UnusableCertificate(
            "CHUK_TLS_KEY", "the key is locked with a password, which nobody can type in here", key
        ) from None
    except ssl.SSLError as error:
        raise _unusable(chain, key, error) from None
    except OSError as error:
        which = "CHUK_TLS_KEY" if error.filename == key else "CHUK_TLS_CERT"
        file = key if error.filename == key else chain
        raise UnusableCertificate(which, f"cannot be read: {error.strerror}", file) from None
    return context


class _Locked(Exception):
    """OpenSSL asks for a password."""


def _no_password() -> str:
    raise _Locked


def _unusable(chain: str, key: str, error: ssl.SSLError) -> UnusableCertificate:
    """Which of the two files is wrong; OpenSSL names neither."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return UnusableCertificate("CHUK_TLS_KEY", "is not the key of that certificate", key)
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        probe.load_verify_locations(chain)
    except ssl.SSLError:
        return UnusableCertificate("CHUK_TLS_CERT", "has no certificate in PEM", chain)
    reason = (error.reason or "unreadable").replace("_", " ").lower()
    return UnusableCertificate("CHUK_TLS_KEY", f"is not a private key in PEM ({reason})", key)
