"""The model list on the wire, and the prices in it."""

from __future__ import annotations

from decimal import Decimal

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.prices import cheapest_first, parse_price
from chuk.catalog.wire import model_object
from tests.services.random_models import providers, random_models


@settings(max_examples=50, deadline=None)
@given(random_models)
def test_on_the_wire_numbers_are_numbers_counts_are_integers_and_null_is_only_where_allowed(
    model: Model,
) -> None:
    wire = orjson.loads(orjson.dumps(model_object(model)))
    assert type(wire["context_length"]) is int
    for shown, provider in zip(wire["providers"], model.providers, strict=True):
        assert type(shown["pricing"]["prompt"]) is float
        assert type(shown["pricing"]["completion"]) is float
        assert type(shown["pricing"]["request"]) in (int, float)
        assert type(shown["pricing"]["image"]) in (int, float, type(None))
        assert shown["pricing"]["prompt"] == float(provider.pricing.prompt)
        assert type(shown["context_length"]) is int
        assert type(shown["max_completion_tokens"]) in (int, type(None))


@given(st.text(max_size=12) | st.floats().map(repr) | st.decimals().map(str) | st.floats())
def test_a_price_is_exact_and_finite_and_not_negative_or_none_at_all(raw: str | float) -> None:
    price = parse_price(raw)
    if price is not None:
        assert price.is_finite() and price == Decimal(str(raw)) and not price.is_signed()


@given(st.integers(1, 10**27), st.integers(0, 30))
def test_no_digit_of_a_price_is_lost(digits: int, zeros: int) -> None:
    text = f"0.{'0' * zeros}{digits}"
    price = parse_price(text)
    assert price is not None and price.as_tuple() == Decimal(text).as_tuple()


@given(st.lists(providers, max_size=6))
def test_the_cheapest_comes_first_and_no_slug_comes_twice(offered: list[Provider]) -> None:
    ordered = cheapest_first(offered)
    assert {each.slug for each in ordered} == {each.slug for each in offered}
    assert len(ordered) == len({each.slug for each in ordered})
    assert cheapest_first(reversed(ordered)) == ordered


def test_a_prompt_weighs_three_times_an_answer() -> None:
    talkative = Provider("a", "A", Pricing(prompt=Decimal(1), completion=Decimal(4)), 1)
    listening = Provider("b", "B", Pricing(prompt=Decimal(2), completion=Decimal("1.5")), 1)
    assert [each.slug for each in cheapest_first([listening, talkative])] == ["a", "b"]
