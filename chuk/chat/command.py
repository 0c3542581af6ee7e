"""What a client asks for, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `images` are `data:` URLs, their type read from the bytes."""

    role: Role
    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """One turn, as asked for. The last message is the user's new one."""

    model_id: str
    messages: tuple[Message, ...]
    provider_slug: str | None = None
    max_tokens: int = 4096
    temperature: float = 0.7
    reasoning_effort: ReasoningEffort | None = None
    allow_provider_fallbacks: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What upstream is asked for: the command, resolved against the catalogue.

    Attributes:
        providers: slugs that may serve, the preferred one first; all of them keep no data.
        max_tokens: already within the provider's and the context's limit.
    """

    model_id: str
    messages: tuple[Message, ...]
    providers: tuple[str, ...]
    max_tokens: int
    temperature: float
    reasoning_effort: ReasoningEffort | None = None
    allow_fallbacks: bool = False
