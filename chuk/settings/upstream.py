"""Settings of where answers come from, and what happens when a provider fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marshmallow import validate

from chuk.settings.declaration import setting
from chuk.settings.values import at_least_one, is_url, is_url_or_empty, positive


@dataclass(frozen=True)
class Upstream:
    """Where answers come from. Times are seconds."""

    openrouter_api_key: str = setting(
        "", "Set: models come from OpenRouter.", env="OPENROUTER_API_KEY", secret=True
    )
    openrouter_base_url: str = setting(
        "https://openrouter.ai/api/v1",
        "Base URL of its API.",
        env="OPENROUTER_BASE_URL",
        check=is_url,
    )
    blocked_providers: tuple[str, ...] = setting(
        ("chutes", "alibaba", "friendli", "wandb", "crusoe", "ncompass"),
        "Providers that are never listed and never used.",
        env="CHUK_BLOCKED_PROVIDERS",
    )
    models_file: Path = setting(
        Path("config/models.toml"), "Which models are offered, and under which names."
    )
    catalog_refresh: float = setting(600.0, "Between refreshes of the model list.", check=positive)
    connect_timeout: float = setting(10.0, "To connect.", check=positive)
    first_byte_timeout: float = setting(120.0, "To the first byte of an answer.", check=positive)
    read_timeout: float = setting(60.0, "Between two reads of an answer.", check=positive)
    connections: int = setting(10_000, "Connections to upstream at once.", check=at_least_one)


@dataclass(frozen=True)
class LocalModel:
    """The model that answers without OpenRouter's key."""

    path: str = setting(
        "", "Another GGUF file instead of the embedded model.", env="LOCAL_MODEL_PATH"
    )
    url: str = setting(
        "",
        "Base URL of an OpenAI-compatible server of one's own (llama.cpp, vLLM, Ollama), "
        "ending before /chat/completions.",
        env="LOCAL_MODEL_URL",
        check=is_url_or_empty,
    )
    api_key: str = setting(
        "", "Bearer key for that server.", env="LOCAL_MODEL_API_KEY", secret=True
    )
    name: str = setting("", "The model's name at that server.", env="LOCAL_MODEL_NAME")
    context_length: int = setting(
        8192, "Tokens of context for each conversation.", check=validate.Range(min=256)
    )
    beside: bool = setting(
        False, "Whether the embedded model is offered beside others, not only where there are none."
    )
    threads: int = setting(
        0, "Threads of the embedded model; 0: one per core.", check=validate.Range(min=0)
    )


@dataclass(frozen=True)
class Routing:
    """Which provider serves, and what happens when it fails. Times are seconds.

    Only a request with `allow_provider_fallbacks` is ever carried on to another provider, and only
    before the first piece of its answer.
    """

    order: str = setting(
        "price",
        "Which of the other providers is asked next: price (the cheapest) or throughput (the "
        "fastest, as measured by this process).",
        check=validate.OneOf(["price", "throughput"]),
    )
    attempts: int = setting(3, "Providers asked for one answer at most.", check=at_least_one)
    time: float = setting(90.0, "After this no further provider is asked.", check=positive)
    first_byte_timeout: float = setting(
        30.0,
        "To the first byte of an answer, while there is another provider to ask.",
        check=positive,
    )
    breaker_failures: int = setting(
        5,
        "Failures in a row after which a provider is left alone; 0: none ever is.",
        check=validate.Range(min=0),
    )
    breaker_error_rate: float = setting(
        0.5,
        "Share of the latest breaker_samples attempts whose failure has the same effect.",
        check=validate.Range(min=0, min_inclusive=False, max=1),
    )
    breaker_samples: int = setting(
        20, "Attempts that the share is counted over.", check=at_least_one
    )
    breaker_slow: float = setting(
        30.0, "A first byte that takes longer counts as a failure.", check=positive
    )
    breaker_pause: float = setting(
        30.0, "How long a provider is left alone, before one attempt tries again.", check=positive
    )
    breaker_longest_pause: float = setting(
        300.0, "The pauses double up to this, while tries fail.", check=positive
    )
