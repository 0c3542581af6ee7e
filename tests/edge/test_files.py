"""What the shipped files promise, without the programs that read them."""

from __future__ import annotations

import json
import re

import pytest
from aiohttp import web

from chuk import runner, tls
from chuk.app import hang_areas
from chuk.settings import Settings
from tests.edge.edges import CONFIG
from tests.edge.nginx_file import Block, read

_STREAMS = ("text/event-stream", "websocket", "audio/")


@pytest.fixture(scope="module")
def nginx() -> Block:
    """The file."""
    return read((CONFIG / "nginx.conf").read_text("utf-8"))


@pytest.fixture(scope="module")
def secure(nginx: Block) -> Block:
    """Its server that speaks TLS."""
    (found,) = [each for each in nginx.all("server") if "ssl_certificate" in names(each)]
    return found


@pytest.fixture(scope="module")
def caddy() -> str:
    """Caddy's file, without its remarks."""
    return re.sub(r"^\s*#.*\n", "", (CONFIG / "Caddyfile").read_text("utf-8"), flags=re.MULTILINE)


def names(block: Block) -> set[str]:
    """Of the directives in a block."""
    return {words[0] for words in block.says}


def routes() -> list[tuple[str, bool]]:
    """Every path with whether its answer may come bit by bit."""
    found = []
    for path, route in hang_areas(web.Application(), Settings()).all:
        media_type = route.media_type or ""
        kinds = (media_type,) if isinstance(media_type, str) else media_type
        found.append((path, any(kind.startswith(_STREAMS) for kind in kinds)))
    return found


def test_nginx_holds_no_stream_back(secure: Block) -> None:
    streams = [path for path, is_stream in routes() if is_stream]
    assert {"/v1/ai/chat", "/v1/ai/chat/ws", "/v1/chat/completions"} <= set(streams)
    for path in streams:
        location = secure.location_of(path)
        assert location.value("proxy_buffering") == "off", path
        assert location.value("proxy_read_timeout") == "1h", path
        assert location.value("proxy_http_version") == "1.1", path
        assert ["proxy_set_header", "Upgrade", "$http_upgrade"] in location.says, path
    assert "event-stream" not in secure.value("gzip_types")
    assert "audio" not in secure.value("gzip_types")


def test_nginx_passes_every_path_on_once_with_the_clients_own_address(secure: Block) -> None:
    for path, _ in routes():
        location = secure.location_of(path)
        assert location.value("proxy_pass") == "http://chuk", path
        assert location.value("proxy_next_upstream") == "off", path
        said = [words[2] for words in location.says if words[1:2] == ["X-Forwarded-For"]]
        # The variable that appends would let a client say who it is.
        assert said == ["$remote_addr"], path


def test_nginx_leaves_sizes_to_the_server(nginx: Block, secure: Block) -> None:
    assert secure.value("client_max_body_size") == "0"
    assert secure.location_of("/v1/ai/convert-file").value("proxy_request_buffering") == "off"
    _, size = secure.value("large_client_header_buffers").split()
    assert int(size.removesuffix("k")) * 1024 > runner._MAX_HEADER
    (upstream,) = nginx.all("upstream", "chuk")
    assert upstream.value("server").split()[0] == f"127.0.0.1:{Settings().server.port}"


def test_neither_keeps_a_connection_longer_than_the_server_does(nginx: Block, caddy: str) -> None:
    (upstream,) = nginx.all("upstream", "chuk")
    assert int(upstream.value("keepalive_timeout").removesuffix("s")) < runner._KEEP_ALIVE
    kept = re.search(r"^\s*keepalive (\d+)s$", caddy, re.MULTILINE)
    assert kept is not None and int(kept[1]) < runner._KEEP_ALIVE


def test_both_speak_new_tls_only_and_say_so(secure: Block, caddy: str) -> None:
    assert secure.value("ssl_protocols") == "TLSv1.2 TLSv1.3"
    assert secure.value("ssl_ciphers") == tls._CIPHERS
    assert ["add_header", "Strict-Transport-Security", tls.HSTS, "always"] in secure.says
    # A location with a header of its own has none of its server's.
    for location in secure.all("location"):
        added = [words[1] for words in location.says if words[0] == "add_header"]
        assert not added or "Strict-Transport-Security" in added
    assert f'header Strict-Transport-Security "{tls.HSTS}"' in caddy


def test_caddy_cuts_nothing_and_tells_who_has_left(caddy: str) -> None:
    assert f"reverse_proxy 127.0.0.1:{Settings().server.port} {{" in caddy
    # With -1 the server would not learn that a client has left.
    assert "flush_interval" not in caddy
    for timeout in ("read_body", "write", "response_header_timeout", "read_timeout"):
        assert timeout not in caddy
    assert "trusted_proxies" not in caddy
    matched = re.findall(r"header Content-Type (\S+)", caddy)
    assert not any("event-stream" in kind or kind.startswith(("audio", "*")) for kind in matched)


def test_what_they_say_by_themselves_has_the_shape_of_both_profiles(
    secure: Block, caddy: str
) -> None:
    said = [
        words[2] for each in secure.all("location") for words in each.says if words[0] == "return"
    ]
    said += re.findall(r"respond `(.*)` 503", caddy)
    assert len(said) == 3
    for text in said:
        body = json.loads(text)
        assert body["detail"] == body["error"]["message"]
        assert body["error"]["code"] in ("SERVICE_UNAVAILABLE", "INVALID_REQUEST")
        assert body["error"]["details"] == {}
