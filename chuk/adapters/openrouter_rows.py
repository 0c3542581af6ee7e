"""OpenRouter's model and endpoint rows, read with suspicion.

Pure: parsed JSON in, the catalogue's types out. A row that cannot be used is left out and counted
by its reason; no row is trusted to have a field or a type.

https://openrouter.ai/docs/api-reference/list-available-models
https://openrouter.ai/docs/api-reference/endpoints/list-endpoints-zdr
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from chuk.catalog.models import Model, Pricing, Provider
from chuk.catalog.prices import cheapest_first, parse_price
from chuk.catalog.selection import Selection

Row = Mapping[str, Any]
Skipped = Counter[str]

# An id becomes a part of a URL, a tag a part of a request: only what real ones are made of. No
# part of an id may be only dots, or the path would climb.
_MODEL_ID = re.compile(r"(?!\.+/)[\w.~@+-]{1,100}/(?!\.+(?:$|:))[\w.~@+:-]{1,150}", re.ASCII)
_TAG = re.compile(r"[\w][\w.:@+/-]{0,99}", re.ASCII)
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high"})
_MAX_COUNT = 2**53  # what every JSON reader holds exactly


@dataclass(frozen=True, slots=True)
class Listed:
    """A chat model of `GET /models`, without the providers."""

    id: str
    permanent_slug: str
    name: str
    description: str
    context_length: int | None
    supports_vision: bool
    supports_reasoning: bool
    is_moderated: bool
    parameters: frozenset[str] | None = None
    efforts: frozenset[str] | None = None

    def with_providers(self, providers: tuple[Provider, ...]) -> Model | None:
        """The model of the catalogue; None without a provider."""
        if not providers:
            return None
        longest = max(provider.context_length for provider in providers)
        return Model(
            id=self.id,
            name=self.name,
            description=self.description,
            context_length=self.context_length or longest,
            providers=providers,
            supports_vision=self.supports_vision,
            supports_reasoning=self.supports_reasoning,
            efforts=self.efforts,
        )


@dataclass(slots=True)
class ZdrList:
    """Which endpoints keep no data: for each model id, its rows by exact tag."""

    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: defaultdict(dict))

    def allows(self, model_id: str, tag: object) -> bool:
        """Whether this endpoint of this model is on the list."""
        return tag in self.rows.get(model_id, ())

    def of(self, model_id: str) -> Sequence[Row]:
        """The model's rows, as the list has them."""
        return tuple(self.rows.get(model_id, {}).values())


def data_rows(document: object, *, inside: str | None = None) -> list[Any] | None:
    """The list in `{"data": [...]}`, or in `{"data": {inside: [...]}}`; None if it is not there."""
    rows = document.get("data") if isinstance(document, dict) else None
    if inside is not None:
        rows = rows.get(inside) if isinstance(rows, dict) else None
    return rows if isinstance(rows, list) else None


def chat_models(rows: Iterable[object], skipped: Skipped) -> dict[str, Listed]:
    """The models that read text and answer in text, by id."""
    models: dict[str, Listed] = {}
    for row in rows:
        if not isinstance(row, dict):
            skipped["model: not an object"] += 1
            continue
        model_id = row.get("id")
        if not isinstance(model_id, str) or not _MODEL_ID.fullmatch(model_id):
            skipped["model: id"] += 1
        elif model_id in models:
            skipped["model: twice"] += 1
        elif not _chats(row):
            skipped["model: no text chat"] += 1
        else:
            models[model_id] = _listed(model_id, row)
    return models


def zdr_list(rows: Iterable[object], models: Mapping[str, Listed], skipped: Skipped) -> ZdrList:
    """Join the ZDR rows to the models.

    A row names its model by `model_id`. A row without it is joined by its `name`
    (`Groq | qwen/qwen3-32b-04-28`) and its `model_name`; where these disagree it is left out: an
    endpoint is ZDR only when it is certain which one is meant.
    """
    by_slug: dict[str, set[str]] = defaultdict(set)
    by_name: dict[str, set[str]] = defaultdict(set)
    for model in models.values():
        by_slug[model.permanent_slug].add(model.id)
        by_name[model.name].add(model.id)
    result = ZdrList()
    for row in rows:
        tag = row.get("tag") if isinstance(row, dict) else None
        if not isinstance(row, dict) or not isinstance(tag, str) or not _TAG.fullmatch(tag):
            skipped["zdr: tag"] += 1
            continue
        ids = _meant(row, models, by_slug, by_name)
        if not ids:
            # Mostly models that do not chat.
            skipped["zdr: no such model"] += 1
        for model_id in ids:
            result.rows[model_id].setdefault(tag, row)
    return result


def providers(
    rows: Iterable[object], model: Listed, zdr: ZdrList, selection: Selection, skipped: Skipped
) -> tuple[Provider, ...]:
    """The endpoints that may be offered, the cheapest first."""
    kept: list[Provider] = []
    for row in rows:
        if not isinstance(row, dict):
            skipped["endpoint: not an object"] += 1
            continue
        tag = row.get("tag")
        if not isinstance(tag, str) or not zdr.allows(model.id, tag):
            skipped["endpoint: not zdr"] += 1
        elif not selection.allows_provider(tag):
            skipped["endpoint: blocked"] += 1
        else:
            provider = _provider(tag, row, model, skipped)
            if provider is not None:
                kept.append(provider)
    return cheapest_first(kept)


def _chats(row: Row) -> bool:
    architecture = row.get("architecture")
    if not isinstance(architecture, dict):
        return False
    inputs, outputs = architecture.get("input_modalities"), architecture.get("output_modalities")
    if isinstance(inputs, list) and isinstance(outputs, list):
        return "text" in inputs and "text" in outputs
    before, _, after = str(architecture.get("modality")).partition("->")
    return "text" in before.split("+") and "text" in after.split("+")


def _listed(model_id: str, row: Row) -> Listed:
    architecture: Row = row["architecture"]
    parameters = _names(row.get("supported_parameters"))
    top = row.get("top_provider")
    slug = row.get("canonical_slug")
    # `qwen/x:free` and `qwen/x` share a permanent slug, but not their endpoints.
    _, colon, variant = model_id.partition(":")
    permanent = slug.partition(":")[0] + colon + variant if isinstance(slug, str) else model_id
    inputs = architecture.get("input_modalities")
    if not isinstance(inputs, list):
        inputs = str(architecture.get("modality")).partition("->")[0].split("+")
    return Listed(
        id=model_id,
        permanent_slug=permanent,
        name=_text(row.get("name")) or model_id,
        description=_text(row.get("description")),
        context_length=_count(row.get("context_length")),
        supports_vision="image" in inputs,
        supports_reasoning=parameters is not None and "reasoning" in parameters,
        is_moderated=isinstance(top, dict) and top.get("is_moderated") is True,
        parameters=parameters,
        efforts=_efforts(row.get("reasoning")),
    )


def _meant(
    row: Row,
    models: Mapping[str, Listed],
    by_slug: Mapping[str, set[str]],
    by_name: Mapping[str, set[str]],
) -> set[str]:
    def called(slug: str) -> set[str]:
        return {slug} if slug in models else set(by_slug.get(slug, ()))

    model_id = row.get("model_id")
    if isinstance(model_id, str) and model_id:
        return called(model_id)
    slugged = called(str(row.get("name")).rpartition(" | ")[2])
    named = set(by_name.get(str(row.get("model_name")), ()))
    if slugged and named:
        return slugged & named
    return slugged or (named if len(named) == 1 else set())


def _provider(tag: str, row: Row, model: Listed, skipped: Skipped) -> Provider | None:
    pricing = _pricing(row.get("pricing"))
    context_length = _count(row.get("context_length")) or model.context_length
    if pricing is None:
        skipped["endpoint: price"] += 1
        return None
    if context_length is None:
        skipped["endpoint: context length"] += 1
        return None
    moderated = row.get("is_moderated")
    return Provider(
        slug=tag,
        name=_text(row.get("provider_name")) or tag,
        pricing=pricing,
        context_length=context_length,
        max_completion_tokens=_count(row.get("max_completion_tokens")),
        is_moderated=moderated if isinstance(moderated, bool) else model.is_moderated,
        parameters=_names(row.get("supported_parameters")) or model.parameters,
    )


def _pricing(entry: object) -> Pricing | None:
    """All prices, or None: an endpoint with one price that cannot be read cannot be billed."""
    if not isinstance(entry, dict):
        return None
    prompt, completion = parse_price(entry.get("prompt")), parse_price(entry.get("completion"))
    request = entry.get("request")
    image = entry.get("image")
    request_price = Decimal(0) if request is None else parse_price(request)
    image_price = None if image is None else parse_price(image)
    if prompt is None or completion is None or request_price is None:
        return None
    if image is not None and image_price is None:
        return None
    return Pricing(
        prompt=prompt,
        completion=completion,
        request=request_price,
        image=image_price,
        # These only ever make a turn cheaper, so one that cannot be read is no reason to refuse.
        cache_read=parse_price(entry.get("input_cache_read")),
        cache_write=parse_price(entry.get("input_cache_write")),
    )


def _names(value: object) -> frozenset[str] | None:
    """A list of names; None where there is none."""
    if not isinstance(value, list):
        return None
    return frozenset(each for each in value if isinstance(each, str))


def _efforts(reasoning: object) -> frozenset[str] | None:
    """Which reasoning efforts the model takes; None: any."""
    if not isinstance(reasoning, dict):
        return None
    named = _names(reasoning.get("supported_efforts")) or None
    if reasoning.get("mandatory") is True:
        # It cannot be switched off.
        return (named or _EFFORTS) - {"none"}
    return named


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    """A positive whole number; upstream also writes `131072.0`."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= _MAX_COUNT:
        return None
    return value
