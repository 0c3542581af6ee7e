"""`POST /v1/ai/generate-image`: words to a picture; and where the pictures are had."""

from __future__ import annotations

from typing import Any

from aiohttp import hdrs, web
from marshmallow import EXCLUDE, Schema, fields, validate

from chuk.accounts.principal import Scope
from chuk.api.fields import WholeNumber
from chuk.api.keys import DRAWING, PICTURES
from chuk.api.once import answered_once
from chuk.api.served_at import served_at
from chuk.credits.money import euros
from chuk.errors import (
    ContentFiltered,
    GenerationFailed,
    InsufficientCredits,
    InvalidDimensions,
    InvalidPrompt,
    ModelUnavailable,
    NotFound,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    UnsupportedFormat,
)
from chuk.media.draw import (
    LONGEST_PROMPT,
    LONGEST_SIDE,
    MAX_SEED,
    SHORTEST_SIDE,
    Drawn,
    check_commission,
)
from chuk.media.pictures import PictureKind
from chuk.web.bodies import FORM, JSON, MULTIPART, read_form
from chuk.web.envelope import render_data
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.routes import Auth, Route
from chuk.web.validation import checked, typed

PATH = "/images/{name}"
PRESETS: dict[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
DEFAULT_PRESET = "landscape_4_3"
CUSTOM = "custom"
_GONE = "This picture is no longer here."
_MAX_BODY = 65_536
_NUMBERS = frozenset({"custom_width", "custom_height", "seed"})
_OPTIONAL = _NUMBERS | {"image_size"}
_SIDE = {"description": f"Pixels, {SHORTEST_SIDE} to {LONGEST_SIDE}; both sides or neither."}


class ImageRequest(Schema):
    """A picture to make."""

    class Meta:
        unknown = EXCLUDE

    prompt = fields.Str(
        required=True, metadata={"description": f"1 to {LONGEST_PROMPT} characters; not blank."}
    )
    image_size = fields.Str(
        allow_none=True,
        load_default=None,
        validate=validate.OneOf(
            # Empty is as good as absent, but nothing to propose.
            ["", *PRESETS, CUSTOM],
            error=f"Must be one of: {', '.join([*PRESETS, CUSTOM])}.",
        ),
        metadata={"description": f"{DEFAULT_PRESET} unless said otherwise."},
    )
    custom_width = WholeNumber(allow_none=True, load_default=None, metadata=_SIDE)
    custom_height = WholeNumber(allow_none=True, load_default=None, metadata=_SIDE)
    seed = WholeNumber(
        allow_none=True, load_default=None, validate=validate.Range(min=0, max=MAX_SEED)
    )


class ImageBilling(Schema):
    """What the picture cost."""

    cost_eur = fields.Float(required=True)
    megapixels = fields.Float(
        required=True, metadata={"description": "Width x height / 10^6, to two places."}
    )


class GeneratedImage(Schema):
    """A picture, and where it can be had without a token."""

    success = fields.Bool(required=True)
    image_url = fields.Str(required=True)
    width = fields.Int(required=True)
    height = fields.Int(required=True)
    seed = fields.Int(required=True)
    prompt = fields.Str(required=True)
    billing = fields.Nested(ImageBilling, required=True)


_REQUEST = ImageRequest()


async def generate_image(request: web.Request) -> web.StreamResponse:
    """Make a picture, keep it, and say where it is."""
    services = request.config_dict
    values = await _values(request)
    prompt = values["prompt"]
    width, height = _size(prompt, values)
    address, principal = served_at(request), request[PRINCIPAL]

    async def draw(order_id: str | None) -> dict[str, Any]:
        drawn = await services[DRAWING].draw(
            principal.user_id,
            prompt,
            width=width,
            height=height,
            seed=values["seed"],
            order_id=order_id,
            api_key_id=principal.api_key_id,
        )
        return _answer(drawn, prompt, address)

    meaning = {"prompt": prompt, "width": width, "height": height, "seed": values["seed"]}
    answer = await answered_once(request, "image", meaning, draw)
    return render_data(request, answer.data, headers=answer.headers)


def _answer(drawn: Drawn, prompt: str, address: str) -> dict[str, Any]:
    return {
        "success": True,
        "image_url": f"{address}/v1/ai/images/{drawn.name}",
        "width": drawn.width,
        "height": drawn.height,
        "seed": drawn.seed,
        "prompt": prompt,
        "billing": {
            "cost_eur": euros(drawn.cost),
            "megapixels": megapixels(drawn.width, drawn.height),
        },
    }


async def picture(request: web.Request) -> web.StreamResponse:
    """A picture, for whoever knows its name."""
    found = await request.config_dict[PICTURES].fetch(request.match_info["name"])
    if found is None:
        raise NotFound(_GONE)
    return web.FileResponse(
        found.path,
        headers={
            hdrs.CONTENT_TYPE: found.kind.media_type,
            # It never changes, but it must not outlive itself, and not in anybody else's cache.
            hdrs.CACHE_CONTROL: f"private, max-age={found.seconds_left}, immutable",
            # Even if it were a page, it could do nothing.
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cross-Origin-Resource-Policy": "cross-origin",
            "Referrer-Policy": "no-referrer",
        },
    )


async def open_to_all(request: web.Request, response: web.StreamResponse) -> None:
    """Let pages of every origin read pictures: the name is the permission, and no cookie counts.

    Connected to the area's `on_response_prepare`, which comes after that of the exact origins.
    """
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical.endswith(PATH):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        response.headers.popall(hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS, None)


def megapixels(width: int, height: int) -> float:
    """Millions of pixels, to two places; of the smallest pictures, to six."""
    exact = width * height / 1_000_000
    return round(exact, 2) or round(exact, 6)


async def _values(request: web.Request) -> dict[str, Any]:
    timeout = request.config_dict[SETTINGS].server.body_timeout
    form = await read_form(request, max_bytes=_MAX_BODY, timeout=timeout)
    if not form.is_typed:
        # A form has no other way to leave a field out than to leave it empty.
        form.values = {k: v for k, v in form.values.items() if v.strip() or k not in _OPTIONAL}
    return checked(_REQUEST, typed(form, numbers=_NUMBERS, booleans=frozenset(), json=frozenset()))


def _size(prompt: str, values: dict[str, Any]) -> tuple[int, int]:
    """The sides that were asked for.

    Raises:
        InvalidPrompt: see `check_commission`.
        InvalidDimensions: a side is out of range or missing, or beside a preset.
    """
    preset = values["image_size"] or None
    width, height = values["custom_width"], values["custom_height"]
    check_commission(prompt, *PRESETS[DEFAULT_PRESET])
    if width is None and height is None and preset != CUSTOM:
        return PRESETS[preset or DEFAULT_PRESET]
    if width is None or height is None:
        raise InvalidDimensions("Give both custom_width and custom_height.")
    if preset not in (None, CUSTOM):
        raise InvalidDimensions("Give either a preset as image_size or a custom size.")
    check_commission(prompt, width, height)
    return width, height


ROUTES = [
    Route(
        "POST",
        "/generate-image",
        generate_image,
        "A picture from words",
        "media",
        scope=Scope.IMAGES,
        bucket="image",
        max_body=_MAX_BODY,
        request=ImageRequest,
        request_types=(JSON, MULTIPART, FORM),
        response=GeneratedImage,
        takes_key=True,
        errors=(
            InvalidPrompt,
            InvalidDimensions,
            ContentFiltered,
            InsufficientCredits,
            QuotaExceeded,
            UnsupportedFormat,
            GenerationFailed,
            ProviderError,
            ModelUnavailable,
            ProviderTimeout,
        ),
    ),
    Route(
        "GET",
        PATH,
        picture,
        "A picture that was made here, for a while",
        "media",
        auth=Auth.NONE,
        media_type=tuple(kind.media_type for kind in PictureKind),
        errors=(NotFound,),
    ),
]
