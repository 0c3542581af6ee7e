"""OpenAI's API at `/v1`: for programs that speak it, whoever made them.

https://platform.openai.com/docs/api-reference

Its requests, answers and errors have OpenAI's shapes; auth, limits, providers and books are those
of every other route.
"""

from __future__ import annotations

from aiohttp import web

from chuk.accounts.principal import Scope
from chuk.api.openai.chat import chat_completions
from chuk.api.openai.chat_schema import ChatCompletion, ChatCompletionRequest
from chuk.api.openai.embeddings import MAX_BODY as EMBEDDINGS_MAX_BODY
from chuk.api.openai.embeddings import Embeddings, EmbeddingsRequest, embeddings
from chuk.api.openai.images import MAX_BODY as IMAGES_MAX_BODY
from chuk.api.openai.images import Images, ImagesRequest, image_generations
from chuk.api.openai.models import OpenAIModel, OpenAIModels, list_models, retrieve_model
from chuk.api.openai.speech import MAX_BODY as SPEECH_MAX_BODY
from chuk.api.openai.speech import SpeechFields, speech
from chuk.api.openai.transcriptions import TranscriptionAnswer, TranscriptionForm, transcriptions
from chuk.errors import (
    ContentFiltered,
    ContextTooLong,
    CorruptFile,
    FeatureDisabled,
    GenerationFailed,
    InsufficientCredits,
    InvalidDimensions,
    InvalidPrompt,
    ModelNotFound,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    RequestRefused,
    ServiceUnavailable,
    StreamInterrupted,
    TranscriptionFailed,
    UnsupportedFormat,
)
from chuk.settings import Settings
from chuk.web.bodies import JSON, MULTIPART
from chuk.web.routes import Route, RouteTable
from chuk.web.uploads import ROOM_FOR_THE_FORM

_TAG = "openai"
_PAID = (InsufficientCredits, QuotaExceeded)
_UPSTREAM = (ProviderError, ModelUnavailable, ProviderTimeout, ServiceUnavailable)


def hang(routes: RouteTable, v1: web.Application, settings: Settings) -> None:
    """Add the routes to the application of `/v1`."""
    routes.mount(v1, "/v1", [*_text_routes(settings), *_media_routes(settings)])


def _text_routes(settings: Settings) -> list[Route]:
    return [
        Route(
            "POST",
            "/chat/completions",
            chat_completions,
            "Chat in OpenAI's shape, whole or streamed",
            _TAG,
            bucket="chat",
            takes_key=True,
            scope=Scope.CHAT,
            max_body=settings.chat.message_max_bytes,
            request=ChatCompletionRequest,
            response=ChatCompletion,
            media_type=(JSON, "text/event-stream"),
            errors=(
                *_PAID,
                *_UPSTREAM,
                ContextTooLong,
                ContentFiltered,
                ModelNotFound,
                UnsupportedFormat,
                RequestRefused,
                StreamInterrupted,
            ),
        ),
        Route(
            "GET",
            "/models",
            list_models,
            "The models in OpenAI's shape",
            _TAG,
            scope=Scope.MODELS,
            response=OpenAIModels,
            errors=(ServiceUnavailable,),
        ),
        Route(
            "GET",
            "/models/{id:.+}",
            retrieve_model,
            "One model in OpenAI's shape",
            _TAG,
            scope=Scope.MODELS,
            response=OpenAIModel,
            errors=(ModelNotFound, ServiceUnavailable),
        ),
        Route(
            "POST",
            "/embeddings",
            embeddings,
            "Texts as vectors",
            _TAG,
            scope=Scope.EMBEDDINGS,
            max_body=EMBEDDINGS_MAX_BODY,
            request=EmbeddingsRequest,
            response=Embeddings,
            errors=(*_PAID, *_UPSTREAM, ContextTooLong, ModelNotFound, FeatureDisabled),
        ),
    ]


def _media_routes(settings: Settings) -> list[Route]:
    audio_max_bytes = settings.media.audio_max_bytes
    return [
        Route(
            "POST",
            "/audio/transcriptions",
            transcriptions,
            "A recording, written down in OpenAI's forms",
            _TAG,
            bucket="audio",
            takes_key=True,
            scope=Scope.AUDIO,
            max_body=audio_max_bytes + ROOM_FOR_THE_FORM,
            max_file=audio_max_bytes,
            request=TranscriptionForm,
            request_types=(MULTIPART,),
            response=TranscriptionAnswer,
            media_type=(JSON, "text/plain", "application/x-subrip", "text/vtt"),
            errors=(
                *_PAID,
                *_UPSTREAM,
                CorruptFile,
                UnsupportedFormat,
                TranscriptionFailed,
                FeatureDisabled,
            ),
        ),
        Route(
            "POST",
            "/audio/speech",
            speech,
            "A text, spoken; the audio comes as it is made",
            _TAG,
            bucket="speech",
            scope=Scope.AUDIO,
            max_body=SPEECH_MAX_BODY,
            request=SpeechFields,
            media_type=("audio/mpeg", "audio/ogg", "audio/wav", "audio/pcm"),
            errors=(*_PAID, *_UPSTREAM, GenerationFailed, FeatureDisabled),
        ),
        Route(
            "POST",
            "/images/generations",
            image_generations,
            "Pictures from words, in OpenAI's shape",
            _TAG,
            bucket="image",
            takes_key=True,
            scope=Scope.IMAGES,
            max_body=IMAGES_MAX_BODY,
            request=ImagesRequest,
            response=Images,
            errors=(
                *_PAID,
                *_UPSTREAM,
                InvalidPrompt,
                InvalidDimensions,
                ContentFiltered,
                GenerationFailed,
            ),
        ),
    ]
