"""What is to be spoken, and how it shall sound."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

TEXT_MAX = 2_000
"""Characters (Unicode code points) of one text."""
LOWEST_RATE, HIGHEST_RATE = 8_000, 48_000


class AudioEncoding(StrEnum):
    """How audio is written. `LINEAR16` is a WAV file of 16-bit samples."""

    LINEAR16 = "LINEAR16"
    MP3 = "MP3"
    OGG_OPUS = "OGG_OPUS"

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]

    @property
    def sample_rates(self) -> tuple[int, ...] | None:
        """The rates that the format knows, in hertz; None: every one in the range."""
        return _SAMPLE_RATES.get(self)


_MEDIA_TYPES = {
    AudioEncoding.LINEAR16: "audio/wav",
    AudioEncoding.MP3: "audio/mpeg",
    AudioEncoding.OGG_OPUS: "audio/ogg",
}
_SAMPLE_RATES = {
    AudioEncoding.MP3: (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    AudioEncoding.OGG_OPUS: (8_000, 12_000, 16_000, 24_000, 48_000),
}


@dataclass(frozen=True, slots=True)
class Utterance:
    """One text to speak.

    Attributes:
        text: 1 to `TEXT_MAX` characters, not blank.
        voice_id, model_id: as the service names them; the embedded voice ignores both.
        sample_rate: hertz; one that the encoding knows.
    """

    text: str
    voice_id: str
    model_id: str
    encoding: AudioEncoding
    sample_rate: int
