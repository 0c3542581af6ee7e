"""What the media services need from outside."""

from __future__ import annotations

from array import array
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol
from uuid import UUID

from chuk.media.formats import Format
from chuk.media.pictures import PictureKind
from chuk.media.recording import Hints, Recording, Transcript
from chuk.media.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Commission:
    """A picture somebody wants.

    Attributes:
        width, height: pixels.
        seed: the same one with the same prompt and size gives the same picture again.
    """

    prompt: str
    width: int
    height: int
    seed: int


@dataclass(frozen=True, slots=True)
class Painting:
    """A finished picture of the size that was asked for, at most `pictures.MAX_BYTES` long.

    Attributes:
        seed: what it was really made from.
    """

    data: bytes
    kind: PictureKind
    seed: int


class Painter(Protocol):
    """Makes pictures from words.

    Attributes:
        model_id, provider_slug: how it is named in the books.
        is_zdr: whether nothing of the prompt is kept there.
    """

    @property
    def model_id(self) -> str: ...

    @property
    def provider_slug(self) -> str: ...

    @property
    def is_zdr(self) -> bool: ...

    async def paint(self, commission: Commission) -> Painting:
        """Make one. Being cancelled ends the work, wherever it is done.

        Raises:
            ContentFiltered: moderation refused.
            GenerationFailed: it is our own fault.
            ProviderError, ModelUnavailable, ProviderTimeout, ServiceUnavailable: it is not.
        """
        ...


class Voice(Protocol):
    """Reads texts aloud.

    Attributes:
        provider_slug: how it is named in the books.
        is_zdr: whether nothing of the text is kept there.
    """

    @property
    def provider_slug(self) -> str: ...

    @property
    def is_zdr(self) -> bool: ...

    def voice_for(self, voice_id: str) -> str:
        """The name of the voice that speaks when this one is asked for."""
        ...

    def model_for(self, model_id: str) -> str:
        """The name of the model that speaks when this one is asked for."""
        ...

    def speak(self, utterance: Utterance) -> AsyncGenerator[bytes, None]:
        """One whole file in pieces, each as soon as it is made; closing it ends the work.

        Raises:
            InvalidRequest: nothing of the text can be spoken.
            GenerationFailed: it is our own fault.
            ProviderError, ModelUnavailable, ProviderTimeout, ServiceUnavailable: it is not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sound:
    """A recording that is to be heard."""

    path: Path
    format: Format


@dataclass(frozen=True, slots=True)
class Document:
    """What stands in a file.

    Attributes:
        parts: in reading order, Markdown or a recording.
        pages: None where they are not known.
        is_truncated: whether the file has more than the parts.
    """

    parts: tuple[str | Sound, ...]
    title: str | None
    pages: int | None
    is_truncated: bool


class FileReader(Protocol):
    """Reads files of every format that is no recording."""

    def read(
        self,
        path: Path,
        *,
        kind: Format,
        name: str,
    ) -> AbstractAsyncContextManager[Document]:
        """Read one; its recordings are there while the block runs.

        Being cancelled ends the work at once.

        Raises:
            CorruptFile: it is damaged, encrypted or empty.
            UnsupportedFormat: it is nothing that is read here after all.
            ConversionFailed: it is our own fault, or took too long.
        """
        ...


class Listener(Protocol):
    """Writes down what is said in recordings, and has it paid for."""

    async def transcript(self, user_id: UUID, sound: Sound, api_key_id: UUID | None = None) -> str:
        """The words; empty where nothing is said.

        Args:
            api_key_id: the personal API key that asked; None: the signed-in user.

        Raises:
            ChukError: it cannot be heard, or not be paid.
        """
        ...


class SoundDecoder(Protocol):
    """Decodes recordings of every format in `formats.AUDIO`."""

    def decoded(self, sound: Sound) -> AbstractAsyncContextManager[Recording]:
        """Decode one; what a recogniser needs of it is there while the block runs.

        Of what is longer than allowed, no more is decoded than shows that it is.

        Raises:
            CorruptFile: there is no sound in it that can be decoded.
            TranscriptionFailed: it is our own fault, or took too long.
        """
        ...


class Recogniser(Protocol):
    """Writes down what is said.

    Attributes:
        model_id, provider_slug: how it is named in the books.
        is_zdr: whether nothing of the recording is kept there.
        languages: ISO 639-1 codes of those it understands.
    """

    @property
    def model_id(self) -> str: ...

    @property
    def provider_slug(self) -> str: ...

    @property
    def is_zdr(self) -> bool: ...

    @property
    def languages(self) -> frozenset[str]: ...

    async def recognised(self, recording: Recording, hints: Hints) -> Transcript:
        """Listen to one recording. Being cancelled ends the work, wherever it is done.

        Raises:
            CorruptFile, FileTooLarge: it is refused there.
            TranscriptionFailed: it failed.
            ProviderError, ModelUnavailable, ProviderTimeout: it is not to be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """A model that makes vectors of texts.

    Attributes:
        provider_slug: who serves it, as the books name it.
        dimensions: how many numbers a vector has; None: it is not known before.
        context_length: the most tokens of one text.
        price: US dollars for a token.
        is_zdr: whether nothing of a text is kept there.
    """

    id: str
    name: str
    provider_slug: str
    dimensions: int | None
    context_length: int
    price: Decimal
    is_zdr: bool


@dataclass(frozen=True, slots=True)
class Vectors:
    """What an embedder made of some texts.

    Attributes:
        values: one for each text, in their order; 32-bit floats.
        cost_usd: what upstream says it charged; None: it did not say.
    """

    values: Sequence[array[float]]
    prompt_tokens: int
    cost_usd: Decimal | None = None


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def models(self) -> Sequence[EmbeddingModel]:
        """All it can be asked for.

        Raises:
            ServiceUnavailable: nobody knows, right now.
        """
        ...

    async def vectors(
        self, model: EmbeddingModel, texts: Sequence[str], dimensions: int | None
    ) -> Vectors:
        """Embed texts with one of its models. Being cancelled ends the work.

        Raises:
            ContextTooLong: a text has more tokens than the model reads.
            InvalidRequest: the model does not make vectors of so many dimensions.
            ProviderError, ModelUnavailable, ProviderTimeout, ServiceUnavailable: as they say.
        """
        ...
