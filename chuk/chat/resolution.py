"""From what a client asks for to what upstream is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chuk.catalog.models import Model, Provider
from chuk.chat.command import ChatCommand, CompletionRequest, Message
from chuk.chat.token_estimate import fewest_prompt_tokens, prompt_tokens
from chuk.errors import ContextTooLong, InvalidRequest


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

    Raises:
        ModelNotFound: the provider asked for does not offer the model, or may not be used.
        InvalidRequest: pictures for a model that cannot see.
        ContextTooLong: the conversation cannot fit the provider's context.
    """
    provider = model.provider(command.provider_slug)
    messages = _visible(command.messages, model)
    more = command.extras.size
    if fewest_prompt_tokens(messages, more) >= provider.context_length:
        raise ContextTooLong(
            max_tokens=provider.context_length,
            requested_tokens=prompt_tokens(messages, more),
            model=model.id,
        )
    likely = prompt_tokens(messages, more)
    providers: tuple[str, ...] = (provider.slug,)
    if command.allow_provider_fallbacks:
        providers += tuple(other.slug for other in model.providers if other is not provider)
    request = CompletionRequest(
        model_id=model.id,
        messages=messages,
        providers=providers,
        max_tokens=_clamped(command.max_tokens, provider, likely),
        temperature=command.temperature,
        reasoning_effort=command.reasoning_effort if model.supports_reasoning else None,
        allow_fallbacks=command.allow_provider_fallbacks,
        extras=command.extras,
    )
    return Resolution(
        model=model,
        provider=provider,
        request=request,
        prompt_tokens=likely,
        images=sum(len(message.images) for message in messages),
    )


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
