"""`POST /v1/images/generations`: pictures from words, as OpenAI's clients ask for them."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from typing import Any

import orjson
from aiohttp import web
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from chuk.accounts.principal import Principal
from chuk.api.fields import WholeNumber
from chuk.api.keys import DRAWING, PICTURES
from chuk.api.once import answered_once
from chuk.api.served_at import served_at
from chuk.credits.money import MicroEuro, euros
from chuk.errors import ChukError, GenerationFailed, RateLimited
from chuk.logs import logger
from chuk.media.draw import LONGEST_PROMPT, Drawing, Drawn, check_commission
from chuk.media.pictures import Pictures
from chuk.web.bodies import parse_json_object, read_body
from chuk.web.envelope import render_data
from chuk.web.keys import PRINCIPAL, RATE_LIMITS, SETTINGS
from chuk.web.validation import checked

MAX_BODY = 65_536
_MOST = 10
_OF_BYTES = "gpt-image-"
_USUAL = (1024, 1024)
_SIZE = re.compile(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", re.ASCII)


class Size(fields.Field[tuple[int, int]]):
    """Width and height in pixels, as `1024x768`; or `auto`."""

    def _deserialize(self, value: Any, attr: Any, data: Any, **kwargs: Any) -> tuple[int, int]:
        if value == "auto":
            return _USUAL
        found = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValidationError("Must be auto, or a width and a height as 1024x768.")
        return int(found[1]), int(found[2])


class ImagesRequest(Schema):
    """Pictures to make. What is said of quality and style is ignored."""

    class Meta:
        unknown = EXCLUDE

    prompt = fields.Str(
        required=True, metadata={"description": f"1 to {LONGEST_PROMPT} characters; not blank."}
    )
    model = fields.Str(
        load_default=None, allow_none=True, metadata={"description": "Any: there is one painter."}
    )
    n = WholeNumber(load_default=1, allow_none=True, validate=validate.Range(min=1, max=_MOST))
    size = Size(
        load_default=_USUAL,
        allow_none=True,
        metadata={"description": "auto, or width x height: 1024x1024, 1024x768, ..."},
    )
    response_format = fields.Str(
        load_default=None,
        allow_none=True,
        validate=validate.OneOf(["url", "b64_json"]),
        metadata={
            "description": "`url` unless said otherwise; `b64_json` for a model `gpt-image-…`, "
            "whose clients know nothing else."
        },
    )
    background = fields.Str(
        load_default="auto",
        allow_none=True,
        validate=validate.NoneOf(["transparent"], error="No picture here is transparent."),
    )
    stream = fields.Bool(
        load_default=False,
        allow_none=True,
        truthy={True},
        falsy={False},
        validate=validate.NoneOf([True], error="Pictures are not streamed here."),
    )


class Images(Schema):
    """Pictures: where each can be had for a while without a token, or its bytes in base64."""

    created = fields.Int(required=True)
    data = fields.List(fields.Dict(keys=fields.Str()), required=True)
    chuk = fields.Dict(keys=fields.Str())


_FIELDS = ImagesRequest()


async def image_generations(request: web.Request) -> web.StreamResponse:
    """Make the pictures one after the other; each is paid for as soon as it is there."""
    services = request.config_dict
    timeout = services[SETTINGS].server.body_timeout
    raw = await read_body(request, max_bytes=MAX_BODY, timeout=timeout)
    values = checked(_FIELDS, parse_json_object(raw))
    prompt, count = values["prompt"], values["n"] or 1
    width, height = values["size"] or _USUAL
    check_commission(prompt, width, height)
    drawing, principal = services[DRAWING], request[PRINCIPAL]
    form = values["response_format"] or _usual_form(values["model"])
    # Each picture counts; the first did so with its request.
    for _ in range(count - 1):
        decision = await services[RATE_LIMITS].take("image", str(principal.user_id))
        if not decision.allowed:
            raise RateLimited(retry_after=decision.retry_after, limit=decision.limit)

    async def draw(order_id: str | None) -> dict[str, Any]:
        drawn = await _drawn(drawing, principal, prompt, (width, height), count, order_id)
        cost = MicroEuro(sum(each.cost for each in drawn))
        return {
            "created": int(time.time()),
            "pictures": [each.name for each in drawn],
            "chuk": {"cost_eur": euros(cost), "seeds": [each.seed for each in drawn]},
        }

    meaning = {"prompt": prompt, "width": width, "height": height, "n": count}
    answer = await answered_once(request, "images/generations", meaning, draw)
    # What was kept under a key is JSON.
    document: dict[str, Any] = orjson.loads(orjson.dumps(answer.data))
    names = document.pop("pictures")
    if form == "url":
        address = served_at(request)
        data = [{"url": f"{address}/v1/ai/images/{name}"} for name in names]
    else:
        data = [{"b64_json": await _encoded(services[PICTURES], name)} for name in names]
    return render_data(request, {**document, "data": data}, headers=answer.headers)


def _usual_form(model: str | None) -> str:
    # OpenAI's own models of this name give bytes alone, and their clients ask for no form.
    is_bytes = model is not None and model.startswith(_OF_BYTES)
    return "b64_json" if is_bytes else "url"


async def _drawn(
    drawing: Drawing,
    principal: Principal,
    prompt: str,
    size: tuple[int, int],
    count: int,
    order_id: str | None,
) -> list[Drawn]:
    """As many as can be made: those that are there are paid for, and are not held back.

    Raises:
        ChukError: why there is not even one.
    """
    drawn: list[Drawn] = []
    for number in range(count):
        own_id = order_id if number == 0 or order_id is None else f"{order_id}_{number}"
        try:
            one = await drawing.draw(
                principal.user_id,
                prompt,
                width=size[0],
                height=size[1],
                order_id=own_id,
                api_key_id=principal.api_key_id,
            )
        except ChukError as error:
            if not drawn:
                raise
            logger("images").warning(
                "fewer pictures", asked=count, made=len(drawn), error=error.code
            )
            break
        drawn.append(one)
    return drawn


async def _encoded(pictures: Pictures, name: str) -> str:
    # A repeat may come to another machine than the one that made it.
    found = await pictures.fetch(name)
    if found is None:
        raise GenerationFailed
    content = await asyncio.to_thread(found.path.read_bytes)
    return base64.b64encode(content).decode("ascii")
