"""`POST /v1/embeddings`: texts as vectors, in OpenAI's shape."""

from __future__ import annotations

import asyncio
import base64
import sys
from array import array
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.api.fields import WholeNumber
from chuk.api.keys import EMBEDDINGS
from chuk.credits.money import euros
from chuk.errors import FeatureDisabled
from chuk.media.embed import MOST_INPUTS
from chuk.web.bodies import parse_json_object, read_body
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.validation import checked

MAX_BODY = 8 * 2**20
_MOST_DIMENSIONS = 2**16


class Input(fields.Field[list[str]]):
    """A text, or a list of texts."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> list[str]:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_INPUTS:
            raise ValidationError(f"Must be a text or a list of 1 to {MOST_INPUTS} of them.")
        if any(isinstance(text, (int, list)) for text in texts):
            # They are numbers of another model's tokenizer.
            raise ValidationError(
                "Tokens are not read here, only texts: in LangChain, for one, say "
                "check_embedding_ctx_length=False."
            )
        if not all(isinstance(text, str) and text for text in texts):
            raise ValidationError("Each must be a text, and not empty.")
        return texts


class EmbeddingsRequest(Schema):
    """Texts to embed. `user` is ignored."""

    class Meta:
        unknown = EXCLUDE

    model = fields.Str(required=True, validate=validate.Length(min=1, max=200))
    input = Input(
        required=True,
        metadata={"description": f"A text, or a list of at most {MOST_INPUTS}."},
    )
    encoding_format = fields.Str(
        load_default="float", allow_none=True, validate=validate.OneOf(["float", "base64"])
    )
    dimensions = WholeNumber(
        load_default=None, allow_none=True, validate=validate.Range(min=1, max=_MOST_DIMENSIONS)
    )


class EmbeddingsUsage(Schema):
    """Tokens of all texts."""

    prompt_tokens = fields.Int(required=True)
    total_tokens = fields.Int(required=True)


class Embeddings(Schema):
    """A vector for each text, in their order: numbers, or base64 of little-endian floats."""

    object = fields.Str(required=True)
    data = fields.List(fields.Dict(keys=fields.Str()), required=True)
    model = fields.Str(required=True)
    usage = fields.Nested(EmbeddingsUsage, required=True)
    chuk = fields.Dict(keys=fields.Str())


_FIELDS = EmbeddingsRequest()


async def embeddings(request: web.Request) -> dict[str, Any]:
    """Embed one text or several. A client that leaves ends the work."""
    services = request.config_dict
    service = services.get(EMBEDDINGS)
    if service is None:
        raise FeatureDisabled("Embeddings are switched off on this server.")
    timeout = services[SETTINGS].server.body_timeout
    raw = await read_body(request, max_bytes=MAX_BODY, timeout=timeout)
    values = checked(_FIELDS, parse_json_object(raw))
    principal = request[PRINCIPAL]
    embedded = await service.embed(
        principal.user_id,
        values["model"],
        values["input"],
        values["dimensions"],
        principal.api_key_id,
    )
    # Megabytes of numbers: everybody's answers would wait for them on the event loop.
    data = await asyncio.to_thread(_data, embedded.vectors, values["encoding_format"])
    return {
        "object": "list",
        "data": data,
        "model": embedded.model_id,
        "usage": {
            "prompt_tokens": embedded.prompt_tokens,
            "total_tokens": embedded.prompt_tokens,
        },
        "chuk": {"cost_eur": euros(embedded.cost)},
    }


def _data(vectors: Sequence[array[float]], encoding: str | None) -> list[dict[str, Any]]:
    written = _base64 if encoding == "base64" else _floats
    return [
        {"object": "embedding", "index": index, "embedding": written(vector)}
        for index, vector in enumerate(vectors)
    ]


def _floats(vector: array[float]) -> orjson.Fragment:
    # As JSON already, one by one: between two of them, others get the interpreter's lock.
    return orjson.Fragment(orjson.dumps(vector.tolist()))


def _base64(vector: array[float]) -> str:
    if sys.byteorder == "big":
        vector = array("f", vector)
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode("ascii")
