"""Estimated token counts are bounds that hold, not guesses that flatter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chuk.chat.command import Message
from chuk.chat.token_estimate import (
    cautious_prompt_tokens,
    fewest_prompt_tokens,
    prompt_tokens,
    text_tokens,
)

_MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(["user", "assistant", "system"]),
        text=st.text(max_size=200),
        images=st.lists(st.just("data:image/png;base64,AAAA"), max_size=3).map(tuple),
    ),
    max_size=8,
)


def test_no_text_is_no_token_and_any_text_at_least_one() -> None:
    assert text_tokens(0) == 0
    assert text_tokens(1) == 1
    assert text_tokens(400) == 100


def test_text_counts_by_its_bytes_so_other_scripts_are_not_underestimated() -> None:
    latin, han = Message("user", "a" * 12), Message("user", "漢" * 12)
    assert prompt_tokens([han]) > prompt_tokens([latin])


@given(_MESSAGES)
def test_the_sure_count_is_never_above_the_likely_one(messages: list[Message]) -> None:
    assert 0 <= fewest_prompt_tokens(messages) <= prompt_tokens(messages)


@given(_MESSAGES, _MESSAGES)
def test_a_longer_conversation_never_counts_less(
    messages: list[Message], more: list[Message]
) -> None:
    assert prompt_tokens(messages + more) == prompt_tokens(messages) + prompt_tokens(more)
    assert fewest_prompt_tokens(messages + more) >= fewest_prompt_tokens(messages)


def test_pictures_count() -> None:
    without = Message("user", "What is this?")
    seen = Message("user", "What is this?", ("data:image/png;base64,AAAA",))
    assert prompt_tokens([seen]) > prompt_tokens([without])


@given(_MESSAGES)
def test_the_cautious_count_is_three_bytes_a_token_and_more_for_pictures(
    messages: list[Message],
) -> None:
    likely = prompt_tokens(messages)
    images = sum(len(message.images) for message in messages)
    cautious = cautious_prompt_tokens(likely, images)
    size = sum(len(message.text.encode()) for message in messages)
    assert cautious >= likely
    assert 3 * cautious >= size + 6_000 * images
