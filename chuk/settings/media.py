"""The settings of files, audio, images and speech."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from marshmallow import validate

from chuk.settings.declaration import setting
from chuk.settings.values import at_least_one, is_url, not_empty, positive


@dataclass(frozen=True)
class Media:
    """Files, audio, images and speech: limits and prices. Times are seconds, sizes bytes.

    Embedded parts charge nothing; these prices are for the services.
    """

    file_max_bytes: int = setting(10_000_000, "Largest file to convert.", check=at_least_one)
    audio_max_bytes: int = setting(25_000_000, "Largest recording.", check=at_least_one)
    audio_max_seconds: int = setting(1_500, "Longest recording.", check=at_least_one)
    workers: int = setting(2, "Conversions and other heavy work at once.", check=at_least_one)
    queue: int = setting(64, "Jobs that may wait; a further one is refused.", check=at_least_one)
    upload_timeout: float = setting(120.0, "For a file or a recording to arrive.", check=positive)
    convert_timeout: float = setting(60.0, "For one conversion.", check=positive)
    transcribe_timeout: float = setting(55.0, "For one transcription.", check=positive)
    embedding_timeout: float = setting(60.0, "For the vectors of some texts.", check=positive)
    image_timeout: float = setting(120.0, "For one image.", check=positive)
    image_keep: float = setting(
        86_400.0, "How long an image is kept; an hour at least.", check=validate.Range(min=3_600)
    )
    speech_enabled: bool = setting(True, "Whether texts are spoken.")
    speech_timeout: float = setting(
        30.0, "To the first sound of a text, and between two.", check=positive
    )
    conversion_price: Decimal = setting(
        Decimal("0"), "Euros for one file.", check=validate.Range(min=0)
    )
    transcription_price: Decimal = setting(
        Decimal("0.0000103"), "Euros for a started second.", check=validate.Range(min=0)
    )
    speech_price: Decimal = setting(
        Decimal("0.0000046"), "Euros for a character.", check=validate.Range(min=0)
    )
    image_price: Decimal = setting(
        Decimal("0.05"),
        "Euros for 2^20 pixels; an image's price is rounded up to the cent.",
        check=validate.Range(min=0),
    )


@dataclass(frozen=True)
class Groq:
    """Speech recognition. Without the key: the embedded recogniser."""

    api_key: str = setting("", "Set: Groq transcribes.", env="GROQ_API_KEY", secret=True)
    base_url: str = setting(
        "https://api.groq.com", "Base URL of its API.", env="GROQ_BASE_URL", check=is_url
    )
    model: str = setting("whisper-large-v3-turbo", "The model that listens.", check=not_empty)


@dataclass(frozen=True)
class Fal:
    """Image generation. Without the key: the embedded renderer."""

    key: str = setting("", "Set: fal draws.", env="FAL_KEY", secret=True)
    queue_url: str = setting(
        "https://queue.fal.run", "Base URL of its queue.", env="FAL_QUEUE_URL", check=is_url
    )
    model: str = setting("fal-ai/z-image/turbo", "The model that draws.", check=not_empty)


@dataclass(frozen=True)
class Inworld:
    """Speech. Without the key: the embedded voice."""

    api_key: str = setting("", "Set: Inworld speaks.", env="INWORLD_API_KEY", secret=True)
    base_url: str = setting(
        "https://api.inworld.ai", "Base URL of its API.", env="INWORLD_BASE_URL", check=is_url
    )
