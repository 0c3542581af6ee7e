"""`POST /v1/ai/quote`: what a chat request could cost, before it is sent."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import Schema, fields

from chuk.api.ai.commands import read_chat_command
from chuk.api.keys import CATALOG, CREDITS, QUOTES
from chuk.chat.books import estimate_of
from chuk.chat.resolution import resolve
from chuk.credits.money import euros
from chuk.web.keys import PRINCIPAL


class ChatQuote(Schema):
    """What would happen to this request right now; nothing is held."""

    model = fields.Str(required=True)
    provider = fields.Str(required=True)
    prompt_tokens = fields.Int(
        required=True, metadata={"description": "A bound that the prompt will hardly exceed."}
    )
    max_tokens = fields.Int(
        required=True,
        metadata={"description": "Within the model's limits and within what can be afforded."},
    )
    max_cost_eur = fields.Float(
        required=True, metadata={"description": "The prompt and an answer of `max_tokens`."}
    )
    min_cost_eur = fields.Float(required=True, metadata={"description": "The prompt alone."})
    affordable = fields.Bool(required=True)
    uses_free_message = fields.Bool(
        required=True, metadata={"description": "A free message would be used; no credits are."}
    )


async def quote(request: web.Request) -> dict[str, Any]:
    """Resolve the request as chat would, and tell the bounds of its cost."""
    services = request.config_dict
    command = await read_chat_command(request)
    resolution = resolve(command, services[CATALOG].model(command.model_id))
    estimate = estimate_of(resolution, services[CREDITS].prices)
    principal = request[PRINCIPAL]
    found = await services[QUOTES].of(principal.user_id, estimate, principal.api_key_id)
    return {
        "model": resolution.model.id,
        "provider": resolution.provider.slug,
        "prompt_tokens": found.prompt_tokens,
        "max_tokens": found.max_tokens,
        "max_cost_eur": euros(found.max_cost),
        "min_cost_eur": euros(found.min_cost),
        "affordable": found.is_affordable,
        "uses_free_message": found.uses_free_message,
    }
