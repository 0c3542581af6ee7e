"""What is held covers what may come, and what is affordable really is."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from chuk.catalog.models import Pricing
from chuk.credits.estimate import LEAST_ANSWER, Estimate
from chuk.credits.money import MicroEuro
from chuk.credits.pricing import PriceList, tokens_usd

_PRICE = st.decimals(min_value=0, max_value=Decimal("0.001"), places=9)
_ESTIMATES = st.builds(
    Estimate,
    prices=st.builds(
        PriceList,
        usd_to_eur=st.decimals(min_value=Decimal("0.5"), max_value=2, places=3),
        margin=st.decimals(min_value=0, max_value=1, places=3),
    ),
    pricings=st.lists(
        st.builds(
            Pricing, prompt=_PRICE, completion=_PRICE, request=_PRICE, image=st.none() | _PRICE
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
    prompt_tokens=st.integers(1, 200_000),
    max_tokens=st.integers(1, 200_000),
    images=st.integers(0, 10),
)

ONE = PriceList(Decimal(1), Decimal(0))


def _estimate(*pricings: Pricing, **fields: int) -> Estimate:
    usual = {"prompt_tokens": 1_000, "max_tokens": 2_000}
    return Estimate(ONE, pricings, **{**usual, **fields})


def test_the_dearest_provider_counts_whichever_that_is_for_this_length() -> None:
    long_answers, long_prompts = (
        Pricing(Decimal("1e-6"), Decimal("9e-6")),
        Pricing(Decimal("5e-6"), Decimal("1e-6")),
    )
    estimate = _estimate(long_answers, long_prompts)
    assert estimate.at_most == 1_000 + 18_000
    assert estimate.cost(0) == 5_000


def test_requests_and_pictures_count() -> None:
    pricing = Pricing(Decimal(0), Decimal(0), Decimal("0.01"), Decimal("0.002"))
    assert _estimate(pricing, images=3).at_most == 16_000


def test_at_least_is_the_prompt_and_a_short_answer() -> None:
    pricing = Pricing(Decimal("1e-6"), Decimal("1e-6"))
    assert _estimate(pricing).at_least == 1_000 + LEAST_ANSWER
    assert _estimate(pricing, max_tokens=10).at_least == 1_010


def test_only_what_charges_nothing_at_all_is_free_of_charge() -> None:
    assert _estimate(Pricing(), Pricing()).is_free_of_charge
    assert not _estimate(Pricing(), Pricing(request=Decimal("1e-9"))).is_free_of_charge
    assert not _estimate(Pricing(image=Decimal("1e-9"))).is_free_of_charge


@given(_ESTIMATES, st.integers(0, 10**9))
def test_an_affordable_answer_stays_within_the_amount_and_is_as_long_as_it_can_be(
    estimate: Estimate, more: int
) -> None:
    money = MicroEuro(estimate.at_least + more)
    tokens = estimate.affordable_tokens(money)
    assert 1 <= tokens <= estimate.max_tokens
    assert estimate.cost(tokens) <= money
    # By one token the rounding may be on the safe side.
    longer = tokens + 2
    assert longer > estimate.max_tokens or estimate.cost(longer) > money


@given(_ESTIMATES)
def test_who_can_afford_the_least_gets_at_least_a_short_answer(estimate: Estimate) -> None:
    shortest = min(LEAST_ANSWER, estimate.max_tokens)
    assert estimate.affordable_tokens(estimate.at_least) >= shortest - 1
    assert estimate.affordable_tokens(estimate.at_most) == estimate.max_tokens
    assert estimate.cost(0) <= estimate.at_least <= estimate.at_most


def test_what_the_cache_knew_costs_its_own_price() -> None:
    pricing = Pricing(
        Decimal("1e-6"), Decimal(0), cache_read=Decimal("1e-7"), cache_write=Decimal("5e-7")
    )
    cost = tokens_usd(
        pricing, prompt_tokens=1_000, completion_tokens=0, cached_tokens=600, cache_write_tokens=100
    )
    assert cost == Decimal("0.0003") + Decimal("0.00006") + Decimal("0.00005")


@given(
    st.builds(
        Pricing, _PRICE, _PRICE, _PRICE, st.none() | _PRICE, st.none() | _PRICE, st.none() | _PRICE
    ),
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
)
def test_a_cache_never_makes_a_turn_dearer(
    pricing: Pricing, prompt: int, completion: int, cached: int, written: int
) -> None:
    size = {"prompt_tokens": prompt, "completion_tokens": completion}
    with_cache = tokens_usd(pricing, **size, cached_tokens=cached, cache_write_tokens=written)
    assert pricing.completion * completion <= with_cache <= tokens_usd(pricing, **size)
