"""A completion stream says the same whatever upstream's style, and survives its faults."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chuk.chat.events import Content, Ended, Finished, Opened, Reasoning, UpstreamUsage
from chuk.errors import (
    ChukError,
    ContentFiltered,
    ContextTooLong,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
)
from tests.adapters.completion_chunks import (
    DONE,
    chunk,
    event,
    of_kind,
    pieces_of,
    read,
    text_of,
)


def test_a_stream_is_read_as_it_goes() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6, "cost": 0.00012}
    stream, events = read(
        b": OPENROUTER PROCESSING\n\n",
        chunk(role="assistant", content=""),
        chunk(reasoning="Hm"),
        chunk(content="Hel"),
        chunk(content="lo"),
        chunk("stop", content=""),
        event({"id": "gen-1", "choices": [], "usage": usage}),
        DONE,
    )
    assert of_kind(events, Opened) == [Opened("gen-1", "Groq")]
    assert text_of(events, Reasoning) == "Hm"
    assert pieces_of(events) == ["Hel", "lo"]
    assert of_kind(events, Finished) == [Finished("stop")]
    assert of_kind(events, UpstreamUsage) == [UpstreamUsage(4, 2, 6, Decimal("0.00012"))]
    assert events[-1] == Ended()
    assert stream.has_ended and stream.has_finished and stream.has_output
    assert stream.failure is None


def test_with_a_key_of_ones_own_both_parts_are_the_cost() -> None:
    usage = {
        "prompt_tokens": 4,
        "completion_tokens": 2,
        "total_tokens": 6,
        "cost": 0.00001,
        "is_byok": True,
        "cost_details": {"upstream_inference_cost": 0.0002},
    }
    _, events = read(chunk("stop", content="a"), event({"choices": [], "usage": usage}), DONE)
    assert of_kind(events, UpstreamUsage) == [UpstreamUsage(4, 2, 6, Decimal("0.00021"))]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_has_two_names(field: str) -> None:
    _, events = read(chunk(**{field: "first", "content": "then"}))
    assert text_of(events, Reasoning) == "first"
    assert text_of(events) == "then"


def test_nothing_is_read_after_the_end() -> None:
    _, events = read(chunk(content="a"), DONE + chunk(content="b"), chunk(content="c"))
    assert pieces_of(events) == ["a"]
    assert events.count(Ended()) == 1


def test_the_end_counts_without_its_blank_line() -> None:
    for ending in (b"", b"\n", b"\r\n", b"\r"):
        stream, _ = read(chunk(content="a"), b"data: [DONE]" + ending)
        assert stream.has_ended


@pytest.mark.parametrize(
    "malformed",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: null\n\n",
        b"data: 1\n\n",
        b"data: " + b"[" * 5_000 + b"\n\n",
        b"data: \xff\xfe\n\n",
        event({"choices": "x"}),
        event({"choices": ["x"]}),
        event({"choices": {"delta": {"content": "x"}}}),
        event({"choices": [{"delta": "x"}]}),
        event({"choices": [{"delta": None}]}),
        event({"choices": [None]}),
        chunk(content=7),
        chunk(content=True),
        chunk(content=[{"type": "text", "text": "x"}]),
        chunk(content={"a": 1}),
        chunk(reasoning={"a": "b"}),
        event({"usage": "x"}),
        event({}),
    ],
)
def test_a_malformed_chunk_is_passed_over(malformed: bytes) -> None:
    stream, events = read(chunk(content="a"), malformed, chunk(content="b"), DONE)
    assert pieces_of(events) == ["a", "b"]
    assert stream.failure is None and stream.has_ended


def test_content_that_is_no_text_hides_nothing_else_of_its_chunk() -> None:
    stream, events = read(chunk("length", reasoning="Hm", content=[1]), DONE)
    assert text_of(events, Reasoning) == "Hm"
    assert of_kind(events, Finished) == [Finished("length")]
    assert stream.has_finished


def test_what_looks_like_a_text_is_not_taken_for_one() -> None:
    # Chunks alike but for their content, some of which is not one string.
    def alike(content: bytes) -> bytes:
        return b'data: {"choices":[{"delta":{"content":' + content + b"}}]}\n\n"

    contents = (b'"a"', b'"b","x":1', b"null", b'"c"', b'{"d":1}', b'"e"', b'""', b'"f"')
    _, events = read(b"".join(map(alike, contents)))
    assert pieces_of(events) == ["a", "b", "c", "e", "f"]


@pytest.mark.parametrize("between", [b": c\n\n", b"data: x\n\n"], ids=["comment", "nonsense"])
@pytest.mark.parametrize("together", [1, 3, 40])
def test_many_short_runs_in_one_read_lose_nothing(between: bytes, together: int) -> None:
    texts = [f"{number} " for number in range(600)]
    events = [said(text) + (between if n % together == 0 else b"") for n, text in enumerate(texts)]
    _, found = read(said("a"), b"".join(events), DONE)
    assert pieces_of(found) == ["a", *texts]


def test_one_stream_is_complained_of_once() -> None:
    with capture_logs() as lines:
        _, events = read(said("a"), b"data: {\n\n" * 1_000, chunk(content=7), said("b"), DONE)
    assert pieces_of(events) == ["a", "b"]
    assert len(lines) == 1


def test_texts_that_are_none_do_not_make_up_for_each_other() -> None:
    # Put into one array, these three are three elements.
    literals = (r'x",["y', "z", r'w"],"v')
    _, events = read(said("a"), b"".join(map(said, literals)), said("b"))
    assert pieces_of(events) == ["a", "z", "b"]


def said(literal: str) -> bytes:
    """A chunk whose content is written exactly so."""
    return f'data: {{"choices":[{{"delta":{{"content":"{literal}"}}}}]}}\n\n'.encode()


def test_a_surrogate_pair_split_over_two_chunks_is_joined() -> None:
    _, events = read(said("x"), said(r"a\ud83d"), said(r"\ude42b"), said("y"), DONE)
    assert text_of(events) == "xa🙂by"


def test_half_a_pair_is_replaced_and_loses_nothing_around_it() -> None:
    for before in (b"", said("x")):
        _, events = read(before, said(r"a\ud83d"), said("b"), said("c"), DONE)
        assert text_of(events).removeprefix("x") == "a\ufffdbc"
    _, events = read(said(r"a\ud83d"), DONE)
    assert text_of(events) == "a\ufffd"


def test_invalid_utf_8_is_replaced() -> None:
    broken = b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n'
    _, events = read(chunk(content="x"), broken, chunk(content="y"), DONE)
    assert text_of(events) == "xa\ufffdby"


def test_a_character_split_over_two_reads_is_whole() -> None:
    whole = b'data: {"choices":[{"delta":{"content":"\xe6\xbc\xa2"}}]}\n\n'
    for border in range(len(whole)):
        _, events = read(whole[:border], whole[border:])
        assert text_of(events) == "漢"


def test_the_last_usage_counts() -> None:
    _, events = read(
        event({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 1}}),
        event({"choices": [], "usage": None}),
        event({"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 9}}),
    )
    assert of_kind(events, UpstreamUsage)[-1] == UpstreamUsage(4, 9, 13, None)


@pytest.mark.parametrize(
    ("cost", "read_as"),
    [
        (0.00042, Decimal("0.00042")),
        ("0.1", Decimal("0.1")),
        (0, Decimal(0)),
        (None, None),
        (-1, None),
        ("x", None),
        (True, None),
        ("NaN", None),
        ("Infinity", None),
        ("1e999999", None),
        ("1e-999999", None),
        ("1_0", None),
        ([1], None),
    ],
)
def test_a_cost_is_exact_or_none(cost: object, read_as: Decimal | None) -> None:
    _, events = read(event({"choices": [], "usage": {"prompt_tokens": 1, "cost": cost}}))
    assert of_kind(events, UpstreamUsage)[0].cost_usd == read_as


@pytest.mark.parametrize("name", ["gen\x00", "gen\ud83d", "g" * 300, ""])
def test_a_name_that_no_book_could_keep_is_none(name: str) -> None:
    _, events = read(event({"id": name, "choices": []}))
    assert of_kind(events, Opened) == [Opened(None, None)]


@pytest.mark.parametrize("count", [-1, "12", None, 1.5, True, 2**63, 10**30, [1]])
def test_a_count_that_is_none_counts_nothing(count: object) -> None:
    document = {"choices": [], "usage": {"prompt_tokens": count, "completion_tokens": 3}}
    _, events = read(event(document))
    assert of_kind(events, UpstreamUsage) == [UpstreamUsage(0, 3, 3, None)]


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 0, "completion_tokens": 0}, None, "x"])
def test_a_usage_that_counts_nothing_is_none(usage: object) -> None:
    _, events = read(chunk(content="a"), event({"choices": [], "usage": usage}))
    assert of_kind(events, UpstreamUsage) == []


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls", "error"])
def test_a_finish_reason_is_passed_on(reason: str) -> None:
    _, events = read(chunk(reason, content="a"))
    assert of_kind(events, Finished) == [Finished(reason)]


@pytest.mark.parametrize("reason", ["Your prompt said: secret", "\ud800", 7, {"a": 1}])
def test_an_unknown_finish_reason_is_an_end_but_not_repeated(reason: Any) -> None:
    stream, events = read(chunk(reason, content="a"))
    assert stream.has_finished
    assert of_kind(events, Finished) == [Finished("other")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 502, "message": "secret"}, ProviderError),
        ({"code": "429", "message": "secret"}, ModelUnavailable),
        ({"code": 408, "message": "secret"}, ProviderTimeout),
        ({"code": "server_error", "message": "secret"}, ProviderError),
        ({"code": 401, "message": "secret"}, ProviderError),
        ({"code": 403, "metadata": {"reasons": ["x"], "flagged_input": "secret"}}, ContentFiltered),
        ({"code": "content_filter", "message": "secret"}, ContentFiltered),
        ({"code": 400, "message": "maximum context length is 5, secret"}, ContextTooLong),
        ({"code": "9" * 5_000}, ProviderError),
        ("secret", ProviderError),
    ],
)
@pytest.mark.parametrize("with_choice", [True, False])
def test_an_error_in_the_stream_ends_it(
    error: object, expected: type[ChukError], with_choice: bool
) -> None:
    document: dict[str, Any] = {"id": "gen-1", "error": error}
    if with_choice:
        document["choices"] = [{"delta": {"content": ""}, "finish_reason": "error"}]
    stream, events = read(chunk(content="a"), event(document) + chunk(content="b"), DONE)
    assert pieces_of(events) == ["a"]
    assert type(stream.failure) is expected
    assert "secret" not in f"{stream.failure.message}{stream.failure.details}"
    assert Ended() not in events


@pytest.mark.parametrize("with_choice", [True, False])
def test_an_error_that_comes_first_opens_nothing(with_choice: bool) -> None:
    document: dict[str, Any] = {"id": "gen-1", "error": {"code": 502, "message": "x"}}
    if with_choice:
        document["choices"] = [{"delta": {"content": ""}, "finish_reason": "error"}]
    stream, events = read(event(document))
    assert stream.failure is not None
    assert not of_kind(events, Opened)


def test_an_endless_event_is_an_error_of_the_provider() -> None:
    stream, events = read(chunk(content="a"), *([b"data: " + b"x" * 100_000] * 12))
    assert pieces_of(events) == ["a"]
    assert type(stream.failure) is ProviderError


_TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from('ab"\\\n\x00 漢🙂'), st.characters()), max_size=5
)
_DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.one_of(_TEXTS, _TEXTS, st.none(), st.integers(), st.just({"a": "b"})),
        "reasoning": st.one_of(_TEXTS, st.none()),
        "role": st.just("assistant"),
        "refusal": st.none(),
    },
)


@given(
    st.lists(_DELTAS, max_size=8),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.integers(0, 600), max_size=6),
)
def test_any_stream_says_what_its_chunks_say_one_by_one(
    deltas: list[dict[str, Any]],
    ascii_only: bool,
    separators: tuple[str, str],
    line_end: bytes,
    borders: list[int],
) -> None:
    documents = [
        json.dumps(
            {"id": "g", "choices": [{"index": 0, "delta": delta}]},
            ensure_ascii=ascii_only,
            separators=separators,
        ).encode("utf-8", "surrogatepass")
        for delta in deltas
    ]
    body = b"".join(b"data: " + document + line_end * 2 for document in documents)
    cuts = sorted(min(border, len(body)) for border in borders)
    reads = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    _, events = read(*reads, DONE)
    _, one_by_one = read(*(b"data: " + document + b"\n\n" for document in documents), DONE)
    assert text_of(events) == text_of(one_by_one)
    assert text_of(events, Reasoning) == text_of(one_by_one, Reasoning)
    if ascii_only and not any("\ud800" <= letter <= "\udfff" for letter in str(deltas)):
        said = [delta.get("content") for delta in deltas]
        assert text_of(events, Content) == "".join(x for x in said if isinstance(x, str))


def test_what_the_providers_cache_knew_is_counted() -> None:
    usage = {
        "prompt_tokens": 40,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 5},
    }
    _, events = read(event({"choices": [], "usage": usage}), DONE)
    (counted,) = of_kind(events, UpstreamUsage)
    assert (counted.cached_tokens, counted.cache_write_tokens) == (30, 5)


@pytest.mark.parametrize("details", [None, [], "x", {"cached_tokens": -1}, {"cached_tokens": True}])
def test_a_cache_that_makes_no_sense_is_none(details: object) -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "prompt_tokens_details": details}
    _, events = read(event({"choices": [], "usage": usage}))
    (counted,) = of_kind(events, UpstreamUsage)
    assert counted.cached_tokens == 0
