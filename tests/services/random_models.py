"""Any model there may be, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from chuk.catalog.models import Model, Pricing, Provider

# Any price that upstream could write; `parse_price` refuses absurdly long ones.
prices = st.decimals(min_value=0, max_value=1000, places=12)
names = st.none() | st.frozensets(st.text(max_size=5), max_size=3)
providers = st.builds(
    Provider,
    slug=st.text(min_size=1, max_size=10),
    name=st.text(max_size=10),
    pricing=st.builds(Pricing, prices, prices, prices, *[st.none() | prices] * 3),
    context_length=st.integers(1, 2**53),
    max_completion_tokens=st.none() | st.integers(1, 2**53),
    is_moderated=st.booleans(),
    parameters=names,
)
random_models = st.builds(
    Model,
    id=st.text(min_size=1, max_size=10),
    name=st.text(max_size=10),
    description=st.text(max_size=10),
    context_length=st.integers(1, 2**53),
    providers=st.lists(providers, min_size=1, max_size=3).map(tuple),
    supports_vision=st.booleans(),
    supports_reasoning=st.booleans(),
    icon_url=st.none() | st.just("https://example.org/i.png"),
    upstream=st.sampled_from(["", "openrouter", "mine"]),
    efforts=names,
)
