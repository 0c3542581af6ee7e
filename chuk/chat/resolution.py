"""From what a client asks for to what upstream is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chuk.catalog.models import Model, Provider
from chuk.chat.command import (
    Candidate,
    ChatCommand,
    CompletionRequest,
    Message,
    ReasoningEffort,
)
from chuk.chat.token_estimate import fewest_prompt_tokens, prompt_tokens
from chuk.errors import ContextTooLong, InvalidRequest

_EFFORTS: tuple[ReasoningEffort, ...] = ("none", "minimal", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Resolution:
    """A command that can be served: by whom, with which request, and how large it is."""

    model: Model
    provider: Provider
    request: CompletionRequest
    prompt_tokens: int
    images: int


def resolve(command: ChatCommand, model: Model) -> Resolution:
    """Decide who serves a command and within which limits.

    That is the provider asked for, or the cheapest one. With fallbacks allowed the others come
    after it, the cheapest first. Who cannot hold the conversation, or does not understand the
    request, is left out.

    Raises:
        ModelNotFound: the provider asked for does not offer the model, or may not be used.
        InvalidRequest: pictures for a model that cannot see, or tools for one without.
        ContextTooLong: the conversation cannot fit the provider's context.
    """
    able = _able(command, model)
    messages = _visible(command.messages, model)
    more = command.extras.size
    likely = prompt_tokens(messages, more)
    providers = _roomy(able, likely, fewest_prompt_tokens(messages, more))
    if not providers:
        raise ContextTooLong(
            max_tokens=max(each.context_length for each in able),
            requested_tokens=likely,
            model=model.id,
        )
    if not command.allow_provider_fallbacks:
        providers = providers[:1]
    candidates = tuple(
        Candidate(each, _clamped(command.max_tokens, each, likely)) for each in providers
    )
    request = CompletionRequest(
        model_id=model.id,
        messages=messages,
        providers=tuple(each.slug for each in providers),
        max_tokens=candidates[0].max_tokens,
        temperature=command.temperature,
        reasoning_effort=_effort(command.reasoning_effort, model),
        allow_fallbacks=command.allow_provider_fallbacks,
        extras=command.extras,
        upstream=model.upstream,
        candidates=candidates,
    )
    return Resolution(
        model=model,
        provider=providers[0],
        request=request,
        prompt_tokens=likely,
        images=sum(len(message.images) for message in messages),
    )


def _able(command: ChatCommand, model: Model) -> list[Provider]:
    """Who may serve and understands what is asked for, in the order of asking."""
    needs, slug = command.extras.needs, command.provider_slug
    able = [each for each in model.providers if all(map(each.supports, needs))]
    if slug is not None:
        asked = model.provider(slug)
        if not command.allow_provider_fallbacks:
            able = [each for each in able if each is asked]
        # The sort is stable: the others stay the cheapest first.
        able.sort(key=lambda each: each is not asked)
    if not able:
        reason = "This is not supported by who serves the model."
        raise InvalidRequest(
            f"{', '.join(needs)}: {reason}", fields={name: [reason] for name in needs}
        )
    return able


def _roomy(able: list[Provider], likely: int, fewest: int) -> list[Provider]:
    """Who can hold the conversation, by the likely count; if nobody can, by the smallest."""
    return [each for each in able if likely < each.context_length] or [
        each for each in able if fewest < each.context_length
    ]


def _effort(asked: ReasoningEffort | None, model: Model) -> ReasoningEffort | None:
    """The nearest effort that the model takes; of two as near the smaller one."""
    if asked is None or not model.supports_reasoning:
        return None
    allowed = [each for each in _EFFORTS if model.efforts is None or each in model.efforts]
    place = _EFFORTS.index(asked)
    return min(allowed, key=lambda each: abs(_EFFORTS.index(each) - place), default=None)


def _visible(messages: tuple[Message, ...], model: Model) -> tuple[Message, ...]:
    """Leave the pictures of earlier turns out for a model that cannot see; refuse new ones."""
    if model.supports_vision or not any(message.images for message in messages):
        return messages
    if messages[-1].images:
        raise InvalidRequest.field("images", "This model cannot see images.")
    return tuple(replace(message, images=(), places=()) for message in messages)


def _clamped(max_tokens: int, provider: Provider, prompt: int) -> int:
    """The app often asks for the provider's whole limit, which leaves no room for the prompt."""
    room = max(1, provider.context_length - prompt)
    return min(max_tokens, provider.max_completion_tokens or room, room)
