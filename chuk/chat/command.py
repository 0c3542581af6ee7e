"""What a client asks for, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chuk.catalog.models import Provider

Role = Literal["system", "user", "assistant", "tool"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    Attributes:
        images: `data:` URLs, their type read from the bytes.
        places: for each image, how many characters of the text come before it; empty: all do.
        tool_calls: the functions that the model wanted called, as the JSON array it said; empty:
            none.
        tool_call_id: which of the calls this message, of the role `tool`, is the answer to.
    """

    role: Role
    text: str
    images: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    tool_calls: bytes = b""
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Extras:
    """How else an answer may be asked for, in OpenAI's terms; None: as the model likes.

    https://platform.openai.com/docs/api-reference/chat/create

    Attributes:
        tools, tool_choice, response_format: JSON, checked and passed on as it came.
        has_schema: whether the format is a JSON schema, which fewer providers know.
        takes_empty: whether an answer that used up its room before its first word is one to the
            client; a person would see nothing, and is told so instead.
    """

    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    tools: bytes | None = None
    tool_choice: bytes | None = None
    parallel_tool_calls: bool | None = None
    response_format: bytes | None = None
    has_schema: bool = False
    takes_empty: bool = field(default=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes of what the model reads of it, besides the messages."""
        return len(self.tools or b"") + len(self.response_format or b"")

    @property
    def empty_ends(self) -> tuple[str, ...]:
        """Reasons to end for which an answer without a word is one, and paid for as any other.

        The request itself left no room for more. Were it free, whoever asks so that nothing comes
        would be told something by that, as often as they like, at our cost.
        """
        room = ("length",) if self.takes_empty else ()
        return (*room, "stop") if self.stop else room

    @property
    def needs(self) -> tuple[str, ...]:
        """What the provider has to understand, or the answer would be none; OpenAI's names."""
        form = "structured_outputs" if self.has_schema else "response_format"
        asked = {"tools": self.tools, form: self.response_format}
        return tuple(name for name, value in asked.items() if value is not None)


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True)
class ChatCommand:
    """One turn, as asked for. The last message is the newest one.

    Attributes:
        temperature: None: as the model likes.
    """

    model_id: str
    messages: tuple[Message, ...]
    provider_slug: str | None = None
    max_tokens: int = 4096
    temperature: float | None = 0.7
    reasoning_effort: ReasoningEffort | None = None
    allow_provider_fallbacks: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    extras: Extras = NO_EXTRAS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider that may serve, and the longest answer that it has room for."""

    provider: Provider
    max_tokens: int


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What upstream is asked for: the command, resolved against the catalogue.

    Attributes:
        providers: slugs that may serve, the preferred one first; all of them keep no data.
        max_tokens: already within the provider's and the context's limit.
        upstream: where the model lives.
        candidates: who `providers` are, in the same order.
    """

    model_id: str
    messages: tuple[Message, ...]
    providers: tuple[str, ...]
    max_tokens: int
    temperature: float | None
    reasoning_effort: ReasoningEffort | None = None
    allow_fallbacks: bool = False
    extras: Extras = NO_EXTRAS
    upstream: str = ""
    candidates: tuple[Candidate, ...] = ()
