"""OpenRouter's dialect of the chat protocol: provider routing, zero data retention, cost.

https://openrouter.ai/docs/features/provider-routing
"""

from __future__ import annotations

from typing import Any

from chuk.adapters.openai_compatible import OpenAICompatible
from chuk.chat.command import CompletionRequest
from chuk.errors import ServiceUnavailable


class OpenRouter(OpenAICompatible):
    """Completions by OpenRouter, from exactly the providers that a request names."""

    unreachable = ServiceUnavailable
    keeps_connections = True

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        body = super().body(request)
        effort = body.pop("reasoning_effort", None)
        if effort is not None:
            body["reasoning"] = {"enabled": False} if effort == "none" else {"effort": effort}
        body["usage"] = {"include": True}
        # The list holds only ZDR providers; `zdr` and `data_collection` make OpenRouter check
        # it again at the moment of the request.
        body["provider"] = {
            "only": list(request.providers),
            "order": list(request.providers),
            "allow_fallbacks": request.allow_fallbacks,
            "zdr": True,
            "data_collection": "deny",
        }
        return body
