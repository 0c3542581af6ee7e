"""What upstream is asked for stays within what the provider can do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.catalog.models import Model, Pricing, Provider
from chuk.chat.command import ChatCommand, Extras, Message
from chuk.chat.resolution import resolve
from chuk.chat.token_estimate import prompt_tokens
from chuk.errors import ContextTooLong, InvalidRequest, ModelNotFound

CHEAP = Provider("cheap/fp8", "Cheap", Pricing(Decimal("1e-7"), Decimal("1e-7")), 8_000)
MIDDLE = Provider("middle", "Middle", Pricing(Decimal("2e-7"), Decimal("2e-7")), 32_000, 4_096)
DEAR = Provider("dear", "Dear", Pricing(Decimal("3e-7"), Decimal("3e-7")), 128_000, 128_000)
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def a_model(*, sees: bool = False, reasons: bool = False) -> Model:
    """A model of three providers, the cheapest first."""
    return Model(
        "maker/model",
        "Model",
        "",
        128_000,
        (CHEAP, MIDDLE, DEAR),
        supports_vision=sees,
        supports_reasoning=reasons,
    )


def a_command(*messages: Message, **fields: object) -> ChatCommand:
    """A command for `a_model()`."""
    return ChatCommand("maker/model", messages or (Message("user", "Hello"),), **fields)  # type: ignore[arg-type]


def test_exactly_the_provider_asked_for_serves() -> None:
    resolution = resolve(a_command(provider_slug="middle"), a_model())
    assert resolution.provider is MIDDLE
    assert resolution.request.providers == ("middle",)
    assert resolution.request.allow_fallbacks is False


def test_without_a_provider_the_cheapest_one_serves() -> None:
    assert resolve(a_command(), a_model()).provider is CHEAP


@pytest.mark.parametrize("text", ["word " * 20_000, "x" * 40_000])
def test_without_a_provider_the_cheapest_one_that_can_hold_the_conversation_serves(
    text: str,
) -> None:
    resolution = resolve(a_command(Message("user", text), max_tokens=100), a_model())
    assert resolution.request.providers == ("middle",)
    assert (resolution.provider, resolution.request.max_tokens) == (MIDDLE, 100)
    with pytest.raises(ContextTooLong) as caught:
        resolve(a_command(Message("user", "word " * 400_000)), a_model())
    assert caught.value.details["max_tokens"] == DEAR.context_length


@pytest.mark.parametrize("slug", ["unknown", "Middle", "cheap", ""])
def test_a_provider_that_is_not_listed_is_refused(slug: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(a_command(provider_slug=slug), a_model())
    assert caught.value.details == {"model": "maker/model", "provider": slug}


def test_fallbacks_come_after_the_one_asked_for_the_cheapest_first() -> None:
    resolution = resolve(
        a_command(provider_slug="middle", allow_provider_fallbacks=True), a_model()
    )
    assert resolution.request.providers == ("middle", "cheap/fp8", "dear")
    assert resolution.request.allow_fallbacks is True


def test_a_larger_answer_than_the_provider_gives_is_clamped() -> None:
    def asked(max_tokens: int, slug: str) -> int:
        command = a_command(provider_slug=slug, max_tokens=max_tokens)
        return resolve(command, a_model()).request.max_tokens

    assert asked(100, "middle") == 100
    assert asked(10**12, "middle") == 4_096
    # The app asks for the whole context: what is left of it after the prompt is the limit.
    assert asked(8_000, "cheap/fp8") == 8_000 - prompt_tokens([Message("user", "Hello")])


@given(
    st.text(max_size=3_000),
    st.integers(1, 10**13),
    st.sampled_from(["cheap/fp8", "middle", "dear"]),
)
def test_an_answer_is_at_least_one_token_and_within_both_limits(
    text: str, max_tokens: int, slug: str
) -> None:
    command = a_command(Message("user", text), provider_slug=slug, max_tokens=max_tokens)
    resolution = resolve(command, a_model())
    provider, granted = resolution.provider, resolution.request.max_tokens
    assert 1 <= granted <= max_tokens
    assert granted <= (provider.max_completion_tokens or provider.context_length)
    assert granted == 1 or granted + resolution.prompt_tokens <= provider.context_length


def test_a_conversation_that_cannot_fit_is_refused_before_upstream_sees_it() -> None:
    command = a_command(Message("user", "word " * 20_000), provider_slug="cheap/fp8")
    with pytest.raises(ContextTooLong) as caught:
        resolve(command, a_model())
    details = caught.value.details
    assert details["max_tokens"] == CHEAP.context_length
    assert details["model"] == "maker/model"
    assert isinstance(details["requested_tokens"], int)
    assert details["requested_tokens"] > CHEAP.context_length


def test_a_conversation_that_might_fit_is_left_to_the_provider() -> None:
    # By the likely count it is too long, but only the model's own tokenizer knows.
    command = a_command(Message("user", "x" * 40_000), provider_slug="cheap/fp8")
    assert resolve(command, a_model()).request.max_tokens == 1


def test_pictures_reach_a_model_that_sees() -> None:
    command = a_command(Message("user", "before", (PICTURE,)), Message("user", "now", (PICTURE,)))
    assert resolve(command, a_model(sees=True)).request.messages == command.messages


def test_earlier_pictures_are_dropped_for_a_model_that_cannot_see_and_their_text_kept() -> None:
    command = a_command(
        Message("system", "Be kind."),
        Message("user", "What is this?", (PICTURE, PICTURE)),
        Message("assistant", "A cat."),
        Message("user", "Sure?"),
    )
    assert resolve(command, a_model()).request.messages == (
        Message("system", "Be kind."),
        Message("user", "What is this?"),
        Message("assistant", "A cat."),
        Message("user", "Sure?"),
    )


def test_new_pictures_for_a_model_that_cannot_see_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(a_command(Message("user", "What is this?", (PICTURE,))), a_model())
    assert "images" in caught.value.details["fields"]  # type: ignore[operator]


def test_reasoning_effort_goes_only_to_a_model_that_reasons() -> None:
    command = a_command(reasoning_effort="high")
    assert resolve(command, a_model(reasons=True)).request.reasoning_effort == "high"
    assert resolve(command, a_model()).request.reasoning_effort is None


@pytest.mark.parametrize(
    ("asked", "efforts", "expected"),
    [
        ("none", None, "none"),
        ("none", {"low", "high"}, "low"),
        ("minimal", {"low", "high"}, "low"),
        ("medium", {"low", "high"}, "low"),
        ("high", {"none", "low"}, "low"),
        ("high", {"none", "minimal", "low", "medium", "high"}, "high"),
        ("low", {"xhigh"}, None),
    ],
)
def test_the_effort_is_the_nearest_that_the_model_takes(
    asked: str, efforts: set[str] | None, expected: str | None
) -> None:
    model = replace(a_model(reasons=True), efforts=None if efforts is None else frozenset(efforts))
    found = resolve(a_command(reasoning_effort=asked), model).request.reasoning_effort
    assert found == expected


def test_fallbacks_leave_out_who_cannot_hold_the_conversation() -> None:
    command = a_command(Message("user", "x" * 40_000), allow_provider_fallbacks=True)
    resolution = resolve(command, a_model())
    assert resolution.request.providers == ("middle", "dear")
    assert resolution.provider is MIDDLE


def test_where_nobody_surely_holds_the_conversation_whoever_might_is_asked() -> None:
    model = replace(a_model(), providers=(CHEAP, replace(CHEAP, slug="other")))
    command = a_command(Message("user", "x" * 40_000), allow_provider_fallbacks=True)
    assert resolve(command, model).request.providers == ("cheap/fp8", "other")


def test_each_candidate_has_its_own_limit() -> None:
    command = a_command(max_tokens=100_000, allow_provider_fallbacks=True, provider_slug="middle")
    request = resolve(command, a_model()).request
    assert [(c.provider.slug, c.max_tokens) for c in request.candidates] == [
        ("middle", 4_096),
        ("cheap/fp8", 8_000 - prompt_tokens([Message("user", "Hello")])),
        ("dear", 100_000),
    ]
    assert request.max_tokens == 4_096


TOOLS = Extras(tools=b"[]")


def test_who_does_not_understand_the_request_is_not_asked() -> None:
    deaf = replace(CHEAP, parameters=frozenset({"max_tokens"}))
    able = replace(MIDDLE, parameters=frozenset({"tools"}))
    model = replace(a_model(), providers=(deaf, able, DEAR))
    assert resolve(a_command(extras=TOOLS), model).provider is able
    request = resolve(a_command(extras=TOOLS, allow_provider_fallbacks=True), model).request
    # Who does not say what it understands may be asked for anything.
    assert request.providers == ("middle", "dear")
    assert resolve(a_command(), model).provider is deaf


def test_tools_for_a_provider_without_them_are_refused() -> None:
    model = replace(a_model(), providers=(replace(CHEAP, parameters=frozenset()), MIDDLE))
    command = a_command(extras=TOOLS, provider_slug="cheap/fp8")
    with pytest.raises(InvalidRequest) as caught:
        resolve(command, model)
    assert set(caught.value.details["fields"]) == {"tools"}  # type: ignore[call-overload]
    fallen_back = replace(command, allow_provider_fallbacks=True)
    assert resolve(fallen_back, model).request.providers == ("middle",)
