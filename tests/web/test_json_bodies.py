"""JSON of every bad kind is a 400, at little cost."""

from __future__ import annotations

import tracemalloc

import pytest

from chuk.errors import InvalidRequest
from chuk.web.bodies import parse_json_object
from tests.harness import RunningServer
from tests.web.sending import (
    post,
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model_id": "a"',
        b'{"model_id": "a",}',
        b"{'model_id': 'a'}",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"{} {}",
        b'{"temperature": NaN}',
        b'{"temperature": Infinity}',
        b'{"temperature": -Infinity}',
        b'{"message": "\xff\xfe"}',
        b'{"message": "\xed\xa0\x80"}',
        b'{"message": "\\ud800"}',
        b'{"message": "a\x00b"}',
        b"\xef\xbb\xbf{",
        '{"message": "ä"}'.encode("utf-16"),
        '{"message": "ä"}'.encode("latin-1"),
        b"[" * 10_000 + b"]" * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"history": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", None])
async def test_what_is_no_json_object_is_a_400(
    small: RunningServer, body: bytes, content_type: str | None
) -> None:
    status, error = await post(small, body, content_type)
    assert (status, error["code"]) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("opening", [b"[", b"{", b"[0,", b"[[],", b'{"a":{},"b":'])
def test_millions_of_values_are_refused_before_they_are_made(opening: bytes) -> None:
    body = b'{"history":' + opening * 3_000_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest):
            parse_json_object(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000
