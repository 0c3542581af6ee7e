"""Rows of OpenRouter's that may hold anything."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chuk.adapters.openrouter_rows import chat_models, providers, zdr_list
from tests.adapters.openrouter_lists import (
    BLOCKED,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
tags = st.sampled_from(["groq", "deepinfra", "deepinfra/fp8", "chutes/bf16", "nebius"])
ids = st.sampled_from(["a/b", "a/b:free", "a/c", "a/c-0101", "..", ""])
model_rows = st.fixed_dictionaries(
    {"id": ids | json_values, "architecture": st.just({"modality": "text->text"}) | json_values},
    optional={
        "canonical_slug": ids | json_values,
        "name": json_values,
        "context_length": json_values,
        "supported_parameters": json_values,
        "top_provider": json_values,
    },
)
endpoint_rows = st.fixed_dictionaries(
    {"tag": tags | json_values},
    optional={
        "model_id": ids | json_values,
        "name": ids | json_values,
        "model_name": json_values,
        "pricing": st.just({"prompt": "1", "completion": "0.1"}) | json_values,
        "context_length": st.just(4096) | json_values,
        "provider_name": json_values,
    },
)


@settings(max_examples=50, deadline=None)
@given(
    listings=st.lists(model_rows | json_values, max_size=5),
    zdr_rows=st.lists(endpoint_rows | json_values, max_size=6),
    page=st.lists(endpoint_rows | json_values, max_size=6),
)
def test_whatever_the_rows_hold_only_zdr_endpoints_that_are_not_blocked_come_out(
    listings: list[Any], zdr_rows: list[Any], page: list[Any]
) -> None:
    skipped: Counter[str] = Counter()
    models = chat_models(listings, skipped)
    zdr = zdr_list(zdr_rows, models, skipped)
    on_the_list = {row["tag"] for row in zdr_rows if isinstance(row, dict) and _is_text(row)}
    for listed in models.values():
        offered = providers(page, listed, zdr, BLOCKED, skipped)
        assert len({each.slug for each in offered}) == len(offered)
        for each in offered:
            assert each.slug in on_the_list and not each.slug.startswith("chutes")
            assert each.pricing.prompt >= 0 and each.context_length > 0


def _is_text(row: dict[str, Any]) -> bool:
    return isinstance(row.get("tag"), str)
