"""What both fake upstreams say: a catalogue of one model, and its streamed answers.

The shapes are OpenRouter's. The text varies from token to token and from answer to answer, with
escapes and characters outside ASCII in it, so that no relay profits from a repetition.
"""

from __future__ import annotations

import json
import random

MODEL = "bench/steady"
PROVIDER = "steadyhost"
PROVIDER_NAME = "Steadyhost"
TOKENS = 256
PROMPT_TOKENS = 24

_PLAIN = """
    the of and to in is that for with as on are by this be from at an it which or one has
    stream token answer relay server client model reads writes kernel socket buffer event loop
    memory second core latency throughput percentile measure benchmark because therefore
"""
_RARE = ("\n\n", "\n", ' "quoted"', " naïve", " größer", " 東京", " 🙂", "\t", " C:\\path", " – ")
_PUNCTUATION = (".", ",", ":", ";", "!", "?")


def json_text(text: str) -> bytes:
    """The text as it stands inside a JSON string, without the quotes."""
    return _compact(text)[1:-1]


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def words(count: int, seed: int) -> list[str]:
    """An answer of `count` tokens, the same for the same seed."""
    chance = random.Random(seed)
    plain = _PLAIN.split()
    tokens: list[str] = []
    for _ in range(count):
        draw = chance.random()
        if draw < 0.05:
            tokens.append(chance.choice(_RARE))
        elif draw < 0.15:
            tokens.append(chance.choice(_PUNCTUATION))
        else:
            tokens.append(" " + chance.choice(plain))
    return tokens


def chunk(content: str, *, finish: str | None = None, usage: bool = False) -> bytes:
    """One event of OpenRouter's stream, framed as SSE."""
    body: dict[str, object] = {
        "id": "gen-1763000000-q3JtPzY8kWv5LsXcB2Rd",
        "provider": PROVIDER_NAME,
        "model": MODEL,
        "object": "chat.completion.chunk",
        "created": 1763000000,
        "choices": [
            {
                "index": 0,
                "delta": {"role": "assistant", "content": content},
                "finish_reason": finish,
                "native_finish_reason": finish,
                "logprobs": None,
            }
        ],
    }
    if usage:
        body["usage"] = {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": TOKENS,
            "total_tokens": PROMPT_TOKENS + TOKENS,
            "cost": 0.00005,
            "is_byok": False,
        }
    return b"data: " + _compact(body) + b"\n\n"


OPENING = b": OPENROUTER PROCESSING\n\n"
CLOSING = chunk("", finish="stop") + chunk("", usage=True) + b"data: [DONE]\n\n"


def stream(seed: int) -> bytes:
    """A whole answer of `TOKENS` tokens."""
    return OPENING + b"".join(chunk(word) for word in words(TOKENS, seed)) + CLOSING


def catalogue() -> dict[str, bytes]:
    """The JSON bodies that describe the model, by their path below `/api/v1`."""
    pricing = {"prompt": "0.0000001", "completion": "0.0000002", "request": "0", "image": "0"}
    architecture = {
        "modality": "text->text",
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "tokenizer": "Other",
        "instruct_type": None,
    }
    about = {
        "id": MODEL,
        "name": "Steady (benchmark)",
        "created": 1763000000,
        "description": "A model that says the same at any load.",
        "architecture": architecture,
    }
    endpoint = {
        "name": f"{PROVIDER_NAME} | {MODEL}",
        "model_id": MODEL,
        "model_name": about["name"],
        "context_length": 131072,
        "pricing": pricing,
        "provider_name": PROVIDER_NAME,
        "tag": PROVIDER,
        "quantization": "unknown",
        "max_completion_tokens": 32768,
        "max_prompt_tokens": None,
        "supported_parameters": ["max_tokens", "temperature"],
        "status": 0,
        "uptime_last_30m": 100,
        "supports_implicit_caching": False,
    }
    model = {
        **about,
        "canonical_slug": MODEL,
        "context_length": 131072,
        "pricing": pricing,
        "top_provider": {
            "context_length": 131072,
            "max_completion_tokens": 32768,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature"],
    }
    return {
        "/models": _compact({"data": [model]}),
        "/endpoints/zdr": _compact({"data": [endpoint]}),
        f"/models/{MODEL}/endpoints": _compact({"data": {**about, "endpoints": [endpoint]}}),
    }
