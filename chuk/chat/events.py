"""What happens in a turn, as typed events.

Upstream adapters yield `Opened`, `Content`, `Reasoning`, `ToolCalls`, `UpstreamUsage`, `Finished`
and at last `Ended`; a turn tells its subscribers `Started`, `Content`, `Reasoning`, `ToolCalls`,
`Usage`, `Meta`, `Speed`, then one of `Failed` and `Done`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from chuk.catalog.models import Provider
from chuk.credits.ledger import Basis
from chuk.credits.money import MicroEuro
from chuk.errors import ChukError


@dataclass(slots=True)
class Content:
    """Pieces of the answer, in order; each is the inside of a JSON string of valid Unicode.

    Each piece is an event of its own to a client. They travel together, and as JSON, because one
    upstream read often brings many, and reading and writing them one by one is most of the work
    of a relay.
    """

    pieces: list[bytes]


@dataclass(slots=True)
class Reasoning:
    """Pieces of the model's reasoning, as in `Content`."""

    pieces: list[bytes]


@dataclass(slots=True)
class ToolCalls:
    """Pieces of the calls that the model wants made, in order.

    Each is the JSON array of OpenAI's `delta.tool_calls`. Only a client that offers tools is
    told of it; to others it is no event, and has no number.
    """

    deltas: list[bytes]


# What only upstream says.


@dataclass(slots=True)
class Opened:
    """Upstream has begun. `generation_id` is its own name for this request."""

    generation_id: str | None
    provider_name: str | None = None


@dataclass(slots=True)
class UpstreamUsage:
    """What upstream counted; `cost_usd` only where it names its own price.

    `cached_tokens` and `cache_write_tokens` are parts of the prompt: what the provider's cache
    knew already, and what it took in.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost_usd: Decimal | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(slots=True)
class Finished:
    """Why upstream stopped: stop, length, content_filter, tool_calls, error."""

    reason: str


@dataclass(slots=True)
class Ended:
    """Upstream's own end of the stream; nothing follows."""


@dataclass(slots=True)
class Routed:
    """From here on this provider is asked: what another one said before, came to nothing.

    Only before the first piece of an answer.
    """

    provider: Provider


UpstreamEvent = Content | Reasoning | ToolCalls | Opened | UpstreamUsage | Finished | Ended | Routed


# What only a turn says.


@dataclass(slots=True)
class Started:
    """The first event of every answer."""

    stream_id: str


@dataclass(slots=True)
class Usage:
    """What the turn took: its receipt.

    Attributes:
        cost: what is charged; nothing for a free message.
        held: what had been set aside.
        basis: why the cost is what it is.
        provider: the slug of who answered.
        estimated: upstream counted nothing, or has not yet said what it charged.
        finish_reason: tells an answer that came to its end (`stop`) from one that hit
            `max_tokens` (`length`) or was stopped (`cancelled`, `error`).
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: MicroEuro
    held: MicroEuro
    basis: Basis
    provider: str
    is_free_message: bool
    is_zdr: bool
    estimated: bool
    finish_reason: str


@dataclass(slots=True)
class Meta:
    """Who answers, and from which purse."""

    model: str
    provider: str
    free_message: bool


@dataclass(slots=True)
class Speed:
    """Completion tokens a second, after the first token."""

    tokens_per_second: float


@dataclass(slots=True)
class Failed:
    """The turn ended without its answer, or with a part of it."""

    error: ChukError


@dataclass(slots=True)
class Done:
    """The turn ended well, or as its user asked."""


def count_events(events: Iterable[TurnEvent]) -> int:
    """How many events these are to a client, who sees each piece as one."""
    count = 0
    for event in events:
        if isinstance(event, (Content, Reasoning)):
            count += len(event.pieces)
        elif not isinstance(event, ToolCalls):
            count += 1
    return count


TurnEvent = Started | Content | Reasoning | ToolCalls | Usage | Meta | Speed | Failed | Done
