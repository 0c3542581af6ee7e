"""`GET /v1/ai/config`: what a client may rely on."""

from __future__ import annotations

import math
from typing import Any

from aiohttp import web

from chuk.api.ai.drawing import PRESETS
from chuk.api.ai.schemas import ChatRequest, ConfigQuery
from chuk.api.attached_pictures import SUPPORTED
from chuk.api.keys import CATALOG, ROUTER, SPEECH, TRANSCRIPTIONS
from chuk.catalog.wire import model_object
from chuk.chat.router import Router
from chuk.media.convert import SUPPORTED as FILE_FORMATS
from chuk.media.draw import LONGEST_PROMPT, LONGEST_SIDE, SHORTEST_SIDE
from chuk.media.transcribe import SUPPORTED as RECORDINGS
from chuk.media.utterance import TEXT_MAX, AudioEncoding
from chuk.settings import Settings
from chuk.web.keys import SETTINGS
from chuk.web.limits import WINDOW
from chuk.web.validation import checked

_QUERY = ConfigQuery()
_FIELDS = ChatRequest().fields


async def config(request: web.Request) -> dict[str, Any]:
    """Defaults, limits, formats, prices and features; with `model_id`, that model's own too."""
    settings = request.config_dict[SETTINGS]
    model_id = checked(_QUERY, dict(request.query))["model_id"]
    answer: dict[str, Any] = {
        "defaults": {
            "max_tokens": _FIELDS["max_tokens"].load_default,
            "temperature": _FIELDS["temperature"].load_default,
        },
        "limits": _limits(settings),
        "formats": {
            "images": list(SUPPORTED),
            "files": list(FILE_FORMATS),
            "recordings": list(RECORDINGS),
            "speech": [encoding.value for encoding in AudioEncoding],
            "image_sizes": list(PRESETS),
        },
        "prices": {
            "currency": "EUR",
            "usd_to_eur": float(settings.prices.usd_to_eur),
            "margin": float(settings.prices.margin),
            "file_eur": float(settings.media.conversion_price),
            "transcription_per_second_eur": _transcription_price(settings),
            "speech_per_character_eur": _speech_price(settings),
            "image_per_2_20_pixels_eur": _image_price(settings),
            "plan": settings.plan.name,
            "plan_price_eur": float(settings.plan.price),
            "plan_credits_eur": float(settings.plan.credits),
        },
        # Only what this server really does; a part that is not configured is false.
        "features": {
            "chat": True,
            "images_in_chat": True,
            "image_generation": True,
            "file_conversion": True,
            "billing": bool(settings.stripe.secret_key),
            "transcription": TRANSCRIPTIONS in request.config_dict,
            "speech": SPEECH in request.config_dict,
        },
    }
    answer["routing"] = _routing(request.config_dict[ROUTER])
    if model_id is not None:
        model = request.config_dict[CATALOG].model(model_id)
        cheapest = model.providers[0]
        answer["model"] = model_object(model)
        answer["limits"]["context_length"] = cheapest.context_length
        answer["limits"]["max_completion_tokens"] = cheapest.max_completion_tokens
        answer["features"]["images_in_chat"] = model.supports_vision
        answer["features"]["reasoning"] = model.supports_reasoning
    return answer


def _routing(router: Router) -> dict[str, Any]:
    """How a request goes on when its provider fails, and who is being left alone just now."""
    return {
        "order": "throughput" if router.rules.by_throughput else "price",
        "attempts": router.rules.attempts,
        "providers": [
            {
                "slug": each.target.provider,
                "model": each.target.model,
                "upstream": each.target.upstream,
                "state": each.state.value,
                "retry_after": math.ceil(each.retry_after),
            }
            for each in router.troubled()
        ],
    }


def _transcription_price(settings: Settings) -> float:
    """The embedded recogniser is free of charge; each started second counts."""
    return float(settings.media.transcription_price) if settings.groq.api_key else 0.0


def _speech_price(settings: Settings) -> float:
    """The embedded voice is free of charge."""
    return float(settings.media.speech_price) if settings.inworld.api_key else 0.0


def _image_price(settings: Settings) -> float:
    """The embedded renderer is free of charge; an image's price is rounded up to the cent."""
    return float(settings.media.image_price) if settings.fal.key else 0.0


def _limits(settings: Settings) -> dict[str, Any]:
    limits, chat = settings.limits, settings.chat
    return {
        "rate_window_seconds": WINDOW,
        "chat_per_window": limits.chat,
        "other_per_window": limits.other,
        "message_max_bytes": chat.message_max_bytes,
        "images_max_count": chat.image_max_count,
        "images_max_bytes": chat.image_max_bytes,
        "turns_per_socket": chat.turns_per_socket,
        "files_per_window": limits.file,
        "file_max_bytes": settings.media.file_max_bytes,
        "recordings_per_window": limits.audio,
        "recording_max_bytes": settings.media.audio_max_bytes,
        "recording_max_seconds": settings.media.audio_max_seconds,
        "speech_per_window": limits.speech,
        "speech_text_max": TEXT_MAX,
        "images_per_window": limits.image,
        "image_prompt_max": LONGEST_PROMPT,
        "image_side_min": SHORTEST_SIDE,
        "image_side_max": LONGEST_SIDE,
    }
