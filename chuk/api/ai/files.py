"""`POST /v1/ai/convert-file`: a file of any kind, as Markdown."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from marshmallow import Schema, fields

from chuk.accounts.principal import Scope
from chuk.api.keys import CONVERSIONS
from chuk.errors import (
    ConversionFailed,
    CorruptFile,
    FeatureDisabled,
    InsufficientCredits,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    ServiceUnavailable,
    TranscriptionFailed,
    UnsupportedFormat,
)
from chuk.media.convert import SUPPORTED
from chuk.media.cutting import MOST_UNITS
from chuk.settings import Settings
from chuk.web.bodies import MULTIPART
from chuk.web.keys import PRINCIPAL, SETTINGS
from chuk.web.routes import Route
from chuk.web.uploads import ROOM_FOR_THE_FORM, read_upload

_PART = "file"


class FileRequest(Schema):
    """A form with one file."""

    file = fields.Raw(
        required=True,
        metadata={
            "type": "string",
            "format": "binary",
            "description": "What it is, is decided by its content, then by its name; the part's "
            "content type is ignored.",
        },
    )


class ConvertedFile(Schema):
    """What stands in the file."""

    markdown = fields.Str(
        required=True,
        metadata={"description": f"Never empty; at most {MOST_UNITS} UTF-16 units."},
    )
    title = fields.Str(metadata={"description": "The document's own, where it has one."})
    format = fields.Str(required=True, metadata={"enum": list(SUPPORTED)})
    pages = fields.Int(metadata={"description": "Where they are known."})
    truncated = fields.Bool(
        required=True, metadata={"description": "Whether there is more in the file."}
    )


async def convert_file(request: web.Request) -> dict[str, Any]:
    """Take one file in and answer with its Markdown. A client that leaves ends the work."""
    services = request.config_dict
    settings = services[SETTINGS]
    async with read_upload(
        request,
        part=_PART,
        max_bytes=settings.media.file_max_bytes,
        timeout=settings.media.upload_timeout,
    ) as upload:
        principal = request[PRINCIPAL]
        markdown = await services[CONVERSIONS].convert(
            principal.user_id, upload.path, upload.name, principal.api_key_id
        )
    answer: dict[str, Any] = {
        "markdown": markdown.text,
        "format": markdown.format.value,
        "truncated": markdown.is_truncated,
    }
    if markdown.title is not None:
        answer["title"] = markdown.title
    if markdown.pages is not None:
        answer["pages"] = markdown.pages
    return answer


def file_routes(settings: Settings) -> list[Route]:
    """What this server does with files."""
    return [
        Route(
            "POST",
            "/convert-file",
            convert_file,
            "A file of any kind, as Markdown",
            "media",
            scope=Scope.FILES,
            bucket="file",
            max_body=settings.media.file_max_bytes + ROOM_FOR_THE_FORM,
            max_file=settings.media.file_max_bytes,
            request=FileRequest,
            request_types=(MULTIPART,),
            response=ConvertedFile,
            errors=(
                CorruptFile,
                InsufficientCredits,
                QuotaExceeded,
                UnsupportedFormat,
                ConversionFailed,
                TranscriptionFailed,
                ProviderError,
                ServiceUnavailable,
                ModelUnavailable,
                FeatureDisabled,
                ProviderTimeout,
            ),
        )
    ]
