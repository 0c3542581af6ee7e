"""The push client reads whatever a server may send, and never mixes two answers up."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from chuk.adapters.push_client import ConnectFailed, PushClient
from chuk.adapters.push_exchange import ConnectionBroken
from tests.adapters.conftest import a_push_client
from tests.adapters.raw_upstream import CHUNKED, SSE_HEAD, framed, raw_upstream, says


async def body_of(client: PushClient, url: str, sent: bytes = b"{}") -> bytes:
    """The whole body of one answer."""
    body = bytearray()
    async with client.post(f"{url}/path", sent, {}) as exchange:
        await exchange.relay(body.extend)
    return bytes(body)


class Answers:
    """A server that reads each request to its end and answers by a script, on one connection.

    Attributes:
        connections: how many were made.
        requests: heads and bodies as they came.
    """

    def __init__(self, *answers: bytes) -> None:
        self.connections = 0
        self.requests: list[tuple[bytes, bytes]] = []
        self._answers = list(answers)

    async def __call__(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        while True:
            size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            self.requests.append((head, await reader.readexactly(size)))
            writer.write(self._answers.pop(0))
            await writer.drain()
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return


def plain(body: bytes, *headers: bytes) -> bytes:
    """A whole answer with a length."""
    lines = (b"Content-Length: %d" % len(body), *headers)
    return b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "answer",
    [
        plain(b"Hello"),
        CHUNKED + framed(b"Hel") + framed(b"lo") + framed(b""),
        b"HTTP/1.1 100 Continue\r\n\r\n" + plain(b"Hello"),
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + plain(b"Hello"),
        plain(gzip.compress(b"Hello"), b"Content-Encoding: gzip"),
        CHUNKED + framed(b"Hello") + b"0\r\nTrailer: x\r\n\r\n",
    ],
    ids=["length", "chunked", "continue", "hints", "packed", "trailer"],
)
async def test_a_whole_answer_leaves_its_connection_to_the_next_request(
    push: PushClient, answer: bytes
) -> None:
    server = Answers(answer, answer, answer)
    async with raw_upstream(server) as url:
        for _ in range(3):
            assert await body_of(push, url) == b"Hello"
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        plain(b"Hello", b"Connection: close"),
        # More than was asked for must not become the answer to the next request.
        plain(b"Hello") + plain(b"stray"),
        plain(b"Hello") + b"noise",
    ],
    ids=["close", "second answer", "noise"],
)
async def test_a_connection_that_cannot_be_trusted_serves_nobody_else(
    push: PushClient, answer: bytes
) -> None:
    server = Answers(answer, answer)
    async with raw_upstream(server) as url:
        assert await body_of(push, url) == b"Hello"
        assert await body_of(push, url) == b"Hello"
    assert server.connections == 2


@pytest.mark.parametrize("stray", [plain(b"stray"), b"noise", b"HTTP/1.1 200 OK\r\nContent-Le"])
async def test_what_follows_an_end_that_was_only_waited_for_is_not_trusted_either(
    push: PushClient, stray: bytes
) -> None:
    may_end, gone = asyncio.Event(), asyncio.Event()

    async def answer(
        _head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(CHUNKED + framed(b"Hello"))
        await may_end.wait()
        writer.write(framed(b"") + stray)
        await reader.read()
        gone.set()

    async with raw_upstream(answer) as url:
        async with push.post(url, b"", {}) as exchange:
            await exchange.relay(lambda _: exchange.let_go())
        may_end.set()
        async with asyncio.timeout(30):
            await gone.wait()


async def test_what_a_server_says_unasked_closes_an_idle_connection(push: PushClient) -> None:
    may_speak, gone = asyncio.Event(), asyncio.Event()

    async def answer(
        _head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(plain(b"Hello"))
        await may_speak.wait()
        writer.write(plain(b"unasked"))
        await reader.read()
        gone.set()

    async with raw_upstream(answer) as url:
        assert await body_of(push, url) == b"Hello"
        may_speak.set()
        async with asyncio.timeout(30):
            await gone.wait()


async def test_a_body_without_a_length_ends_with_its_connection(push: PushClient) -> None:
    async with raw_upstream(says(SSE_HEAD + b"\r\n", b"Hel", b"lo")) as url:
        assert await body_of(push, url) == b"Hello"


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"HTTP/1.1 200 OK\r\nConte"],
        [SSE_HEAD + b"Content-Length: 9\r\n\r\nHello"],
        [CHUNKED + framed(b"Hello")],
        [CHUNKED + b"zz\r\n"],
        [b"SSH-2.0-OpenSSH\r\n"],
        [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nHello"],
        [b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000],
        [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000],
        [plain(b"not packed at all", b"Content-Encoding: gzip")],
        [plain(gzip.compress(bytes(50_000_000)), b"Content-Encoding: gzip")],
    ],
    ids=[
        *["nothing", "half a head", "too short", "no last chunk", "no chunk", "no http", "upgrade"],
        *["many headers", "a long header", "wrongly packed", "a bomb"],
    ],
)
async def test_an_answer_that_is_not_whole_is_broken(push: PushClient, parts: list[bytes]) -> None:
    async with raw_upstream(says(*parts)) as url:
        with pytest.raises(ConnectionBroken):
            await body_of(push, url)


async def test_a_large_request_arrives_whole(push: PushClient) -> None:
    sent = bytes(range(256)) * 20_000
    server = Answers(plain(b"Hello"))
    async with raw_upstream(server) as url:
        assert await body_of(push, url, sent) == b"Hello"
    head, body = server.requests[0]
    assert head.startswith(b"POST /path HTTP/1.1\r\nHost: 127.0.0.1:")
    assert body == sent


async def test_a_refusal_may_come_before_all_is_sent(push: PushClient) -> None:
    async def answer(_head: bytes, reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()

    async with raw_upstream(answer) as url, push.post(url, bytes(30_000_000), {}) as exchange:
        assert exchange.status == 413


async def test_a_header_cannot_be_smuggled_in(push: PushClient) -> None:
    with pytest.raises(ValueError, match="control character"):
        await body_of_with(push, {"Authorization": "Bearer a\r\nX-Other: b"})


async def body_of_with(client: PushClient, headers: dict[str, str]) -> None:
    async with client.post("http://127.0.0.1:1/", b"", headers):
        pass


async def test_an_idle_connection_is_closed_in_time(push: PushClient) -> None:
    server = Answers(plain(b"a"), plain(b"b"), plain(b"c"))
    async with raw_upstream(server) as url:
        await body_of(push, url)
        now = asyncio.get_running_loop().time()
        push.tick(now + 74)
        await body_of(push, url)
        assert server.connections == 1
        push.tick(now + 200)
        await body_of(push, url)
    assert server.connections == 2


async def test_a_slow_taker_slows_the_server_down(push: PushClient) -> None:
    piece = framed(bytes(65_536))
    sent = 0
    stopped = asyncio.Event()
    may_go_on = asyncio.Event()

    async def answer(_head: bytes, _reader: object, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        for _ in range(400):
            writer.write(piece)
            sent += 1
            if writer.transport.get_write_buffer_size() > 1_000_000:
                stopped.set()
                await writer.drain()
        writer.write(framed(b""))
        await writer.drain()

    received = 0

    def take(chunk: bytes) -> object:
        nonlocal received
        received += len(chunk)
        return may_go_on.wait

    async with raw_upstream(answer) as url, push.post(url, b"", {}) as exchange:
        relay = asyncio.create_task(exchange.relay(take))
        async with asyncio.timeout(30):
            await stopped.wait()
        assert received <= 262_144 and sent < 400
        may_go_on.set()
        await relay
    assert received == 400 * 65_536


async def test_a_taker_that_fails_is_given_nothing_more(push: PushClient) -> None:
    taken = []
    may_speak = asyncio.Event()

    async def answer(_head: bytes, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await may_speak.wait()
        for _ in range(10):
            writer.write(framed(b"a"))
            await asyncio.sleep(0)
        writer.write(framed(b""))

    def take(chunk: bytes) -> None:
        taken.append(chunk)
        raise RuntimeError("odd")

    async with raw_upstream(answer) as url, push.post(url, b"", {}) as exchange:
        may_speak.set()
        with pytest.raises(RuntimeError, match="odd"):
            await exchange.relay(take)
    assert len(taken) == 1


async def test_what_comes_in_one_read_is_taken_at_once(push: PushClient) -> None:
    taken = []
    may_speak = asyncio.Event()

    async def answer(_head: bytes, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await may_speak.wait()
        writer.write(framed(b"x") * 5_000 + framed(b""))

    async with raw_upstream(answer) as url, push.post(url, b"", {}) as exchange:
        may_speak.set()
        await exchange.relay(taken.append)
    assert b"".join(taken) == b"x" * 5_000
    assert len(taken) < 10


async def test_bombs_in_pieces_do_not_pile_up_before_a_slow_taker(push: PushClient) -> None:
    packed = gzip.compress(bytes(50_000_000))
    pieces = (packed[at : at + 500] for at in range(0, len(packed), 500))
    head = SSE_HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    wire = b"".join(map(framed, pieces)) + framed(b"")
    all_sent = asyncio.Event()
    sizes = []

    async def answer(_head: bytes, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(head + wire)
        await writer.drain()
        all_sent.set()

    def take(chunk: bytes) -> object:
        sizes.append(len(chunk))
        return all_sent.wait

    async with raw_upstream(answer) as url, push.post(url, b"", {}) as exchange:
        with pytest.raises(ConnectionBroken):
            await exchange.relay(take)
    assert max(sizes) <= 1_048_576


async def test_a_certificate_that_nobody_vouches_for_is_no_connection(
    push: PushClient, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(ConnectFailed):
            await body_of(push, f"https://{host}:{port}")


async def test_an_unknown_host_is_no_connection(push: PushClient) -> None:
    with pytest.raises(ConnectFailed):
        await body_of(push, "http://nobody.invalid")


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(max_size=300),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 50), min_size=1, max_size=60),
)
def test_the_borders_of_reads_and_of_chunks_change_nothing(
    body: bytes, sizes: Sequence[int], cuts: Sequence[int]
) -> None:
    chunks, rest = [], body
    for size in sizes:
        if rest:
            chunks.append(framed(rest[:size]))
            rest = rest[size:]
    wire = CHUNKED + b"".join(chunks) + (framed(rest) if rest else b"") + framed(b"")
    parts = []
    for cut in cuts:
        parts.append(wire[:cut])
        wire = wire[cut:]
    parts.append(wire)

    async def exchanged() -> bytes:
        client = a_push_client()
        try:
            async with raw_upstream(says(*filter(None, parts))) as url:
                return await body_of(client, url)
        finally:
            client.close()

    assert asyncio.run(exchanged()) == body


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for the loopback address that no authority has signed, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files
