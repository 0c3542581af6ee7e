"""TLS without a proxy: what is spoken, and how the certificate is replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chuk.listening import listening_socket
from chuk.settings import SettingsError, load
from chuk.tls import Certificate, UnusableCertificate, certificate
from tests.certificates import Authority, Pair, serial_of
from tests.conftest import StartServer
from tests.fakes.openrouter import FakeOpenRouter, Reply
from tests.harness import MODEL, RunningServer, eventually, openrouter_environ, sse_events
from tests.processes import log_lines, run_chuk, served
from tests.redis_server import RedisServer
from tests.supervision.crews import crew


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(authority: Authority, request: pytest.FixtureRequest) -> Pair:
    """A certificate for this machine."""
    return authority.sign(request.node.name.partition("[")[0])


@asynccontextmanager
async def secure_door(server: RunningServer, shown: Certificate) -> AsyncIterator[tuple[str, int]]:
    """The same server over TLS, at the address that comes out."""
    listening = listening_socket(server.settings)
    site = web.SockSite(server.runner, listening, ssl_context=shown.context)
    address: tuple[str, int] = listening.getsockname()[:2]
    await site.start()
    yield address
    await site.stop()


async def handshake(address: tuple[str, int], trust: ssl.SSLContext) -> ssl.SSLSocket:
    """A new connection, shaken hands on; to be closed."""

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection(address, timeout=10)
        return trust.wrap_socket(plain, server_hostname=address[0])

    return await asyncio.to_thread(connect)


async def serial_at(address: tuple[str, int], trust: ssl.SSLContext) -> int:
    """Which certificate a new connection is shown."""
    with await handshake(address, trust) as connection:
        return serial_of(connection.getpeercert(binary_form=True))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_new_versions_are_spoken_with_forward_secrecy_and_as_http_1_1(
    server: RunningServer, authority: Authority, pair: Pair, version: ssl.TLSVersion
) -> None:
    trust = authority.trust()
    trust.minimum_version = trust.maximum_version = version
    trust.set_alpn_protocols(["h2", "http/1.1"])
    async with secure_door(server, Certificate(str(pair.chain), str(pair.key))) as address:
        with await handshake(address, trust) as connection:
            assert connection.selected_alpn_protocol() == "http/1.1"
            cipher = connection.cipher()
    assert cipher is not None
    assert cipher[0].startswith(("ECDHE-", "TLS_"))
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_old_versions_and_weak_ciphers_are_refused(
    server: RunningServer, authority: Authority, pair: Pair
) -> None:
    old, weak = authority.trust(), authority.trust()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM")
    async with secure_door(server, Certificate(str(pair.chain), str(pair.key))) as address:
        for trust in (old, weak):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await handshake(address, trust)


async def test_a_new_certificate_is_for_new_connections_and_cuts_no_open_one(
    server: RunningServer, openrouter: FakeOpenRouter, authority: Authority
) -> None:
    first = authority.sign("renewed")
    shown = Certificate(str(first.chain), str(first.key))
    openrouter.script(Reply(content=["one", "two"], stall_after=1))
    async with (
        secure_door(server, shown) as address,
        aiohttp.ClientSession() as client,
        client.post(
            f"https://{address[0]}:{address[1]}/v1/ai/chat",
            json={"model_id": MODEL, "message": "Hello"},
            headers=server.bearer(),
            ssl=authority.trust(),
        ) as answer,
    ):
        await openrouter.wait_until(lambda: openrouter.completions[0].pieces_sent == 1)
        second = authority.sign("renewed")
        assert await serial_at(address, authority.trust()) == first.serial
        assert shown.reload()
        assert await serial_at(address, authority.trust()) == second.serial
        openrouter.release.set()
        assert sse_events(await answer.read())[-1] == "[DONE]"


@pytest.mark.parametrize("what", ["half", "nonsense", "gone", "locked"])
async def test_what_cannot_be_used_leaves_the_certificate_as_it_is(
    server: RunningServer, authority: Authority, pair: Pair, what: str
) -> None:
    shown = Certificate(str(pair.chain), str(pair.key))
    if what == "half":
        # The chain is there already, its key not yet.
        pair.chain.write_bytes(authority.sign("other").chain.read_bytes())
    elif what == "nonsense":
        pair.chain.write_text("nonsense")
    elif what == "gone":
        pair.key.unlink()
    else:
        authority.sign(pair.chain.stem, password=b"hush")
    async with secure_door(server, shown) as address:
        assert not shown.reload()
        assert await serial_at(address, authority.trust()) == pair.serial


async def test_browsers_are_told_to_come_back_over_tls_where_it_ends_here(
    start_server: StartServer, pair: Pair
) -> None:
    async with start_server(**pair.environ()) as server:
        for path in ("/", "/v1/nothing", "/health"):
            async with server.client.get(f"{server.url}{path}") as answer:
                assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    async with (
        start_server() as server,
        server.client.get(f"{server.url}/") as answer,
    ):
        assert "Strict-Transport-Security" not in answer.headers


def named_in(pair: Pair) -> SettingsError:
    """What is said at the start of a pair that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        certificate(load(pair.environ(), directory=pair.chain.parent))
    return caught.value


def test_each_fault_of_a_pair_is_named_with_its_file(authority: Authority, pair: Pair) -> None:
    chain, key = pair.chain.read_bytes(), pair.key.read_bytes()
    other = authority.sign("another").key.read_bytes()
    faults = [
        (chain, other, "CHUK_TLS_KEY", "is not the key of that certificate"),
        (b"nonsense", key, "CHUK_TLS_CERT", "has no certificate in PEM"),
        (b"", key, "CHUK_TLS_CERT", "has no certificate in PEM"),
        (key, chain, "CHUK_TLS_CERT", "has no certificate in PEM"),
        (chain, b"nonsense", "CHUK_TLS_KEY", "is not a private key in PEM"),
        (chain, b"", "CHUK_TLS_KEY", "is not a private key in PEM"),
        (chain, chain, "CHUK_TLS_KEY", "is not a private key in PEM"),
    ]
    for given_chain, given_key, setting, problem in faults:
        pair.chain.write_bytes(given_chain)
        pair.key.write_bytes(given_key)
        error = named_in(pair)
        assert (error.setting, problem in error.problem) == (setting, True), error
        assert error.source == str(pair.chain if setting == "CHUK_TLS_CERT" else pair.key)


def test_a_locked_key_is_refused_instead_of_asking_for_its_password(authority: Authority) -> None:
    assert "password" in named_in(authority.sign("locked", password=b"hush")).problem


def test_a_file_that_is_gone_is_named(pair: Pair) -> None:
    pair.key.unlink()
    with pytest.raises(UnusableCertificate, match="No such file") as caught:
        Certificate(str(pair.chain), str(pair.key))
    assert caught.value.setting == "CHUK_TLS_KEY"


async def test_a_wrong_pair_ends_the_start_with_one_sentence(
    tmp_path: Path, pair: Pair, authority: Authority
) -> None:
    pair.key.write_bytes(authority.sign("another").key.read_bytes())
    done = await run_chuk("serve", folder=tmp_path, **pair.environ())
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("chuk: CHUK_TLS_KEY: is not the key of that certificate")
    assert not (tmp_path / "var").exists()


async def test_sighup_takes_the_new_certificate_and_says_what_is_wrong_with_it(
    tmp_path: Path, openrouter: FakeOpenRouter, authority: Authority, pair: Pair
) -> None:
    pair.key.chmod(0o640)
    environ = {**openrouter_environ(openrouter), **pair.environ(), "CHUK_LOG_FORMAT": "json"}
    async with served(tmp_path, environ) as server:
        assert server.url.startswith("https://")
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        trust = authority.trust()
        assert await serial_at(address, trust) == pair.serial
        renewed = authority.sign(pair.chain.stem)
        server.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(30):
            while await serial_at(address, trust) != renewed.serial:
                pass
        renewed.chain.write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        assert await serial_at(address, trust) == renewed.serial
        done = await server.stop(signal.SIGTERM)
    assert done.code == 0
    lines = {line["event"]: line for line in log_lines(done.err)}
    assert lines["tls_key_is_readable_by_others"]["level"] == "warning"
    assert lines["certificate_loaded"]["level"] == "info"
    assert lines["certificate_kept"]["level"] == "error"
    assert lines["certificate_kept"]["setting"] == "CHUK_TLS_CERT"


async def test_sighup_without_a_certificate_ends_nothing(
    tmp_path: Path, openrouter: FakeOpenRouter
) -> None:
    environ = {**openrouter_environ(openrouter), "CHUK_LOG_FORMAT": "json"}
    async with served(tmp_path, environ) as server, aiohttp.ClientSession() as client:
        server.process.send_signal(signal.SIGHUP)
        await server.well(client)
        done = await server.stop(signal.SIGTERM)
    assert done.code == 0
    assert "no_certificate_to_reload" in {line["event"] for line in log_lines(done.err)}


async def test_workers_take_a_new_certificate_each_by_itself_or_all_in_turn(
    tmp_path: Path,
    openrouter: FakeOpenRouter,
    redis_server: RedisServer,
    authority: Authority,
    pair: Pair,
) -> None:
    trust = authority.trust()
    async with crew(
        tmp_path, openrouter, redis_server, environ=pair.environ(), trust=trust
    ) as running:
        address = ("127.0.0.1", int(running.url.rpartition(":")[2]))

        async def all_show(serial: int) -> None:
            in_a_row = 0
            async with asyncio.timeout(30):
                while in_a_row < 16:
                    same = await serial_at(address, trust) == serial
                    in_a_row = in_a_row + 1 if same else 0

        await all_show(pair.serial)
        workers = running.workers()
        renewed = authority.sign(pair.chain.stem)
        for worker in workers:
            os.kill(worker, signal.SIGHUP)
        await all_show(renewed.serial)
        assert running.workers() == workers
        again = authority.sign(pair.chain.stem)
        running.server.process.send_signal(signal.SIGHUP)
        await all_show(again.serial)
        await eventually(lambda: not running.workers() & workers, timeout=20)
