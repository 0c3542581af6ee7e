"""The `/v1/ai` area."""

from __future__ import annotations

from aiohttp import web

from chuk.accounts.principal import Scope
from chuk.api.ai.audio import audio_routes
from chuk.api.ai.chat import chat
from chuk.api.ai.config import config
from chuk.api.ai.drawing import ROUTES as IMAGE_ROUTES
from chuk.api.ai.drawing import open_to_all
from chuk.api.ai.files import file_routes
from chuk.api.ai.quote import ChatQuote, quote
from chuk.api.ai.schemas import ChatRequest, Config, ConfigQuery
from chuk.api.ai.socket import chat_socket
from chuk.api.ai.speech import ROUTES as SPEECH_ROUTES
from chuk.api.ai.streams import STREAM_ROUTES
from chuk.api.model_list import Model, models
from chuk.errors import (
    ContentFiltered,
    ContextTooLong,
    Forbidden,
    InsufficientCredits,
    ModelNotFound,
    ModelUnavailable,
    ProviderError,
    ProviderTimeout,
    QuotaExceeded,
    ServiceUnavailable,
    UnsupportedFormat,
)
from chuk.settings import Settings
from chuk.web.bodies import FORM, JSON, MULTIPART
from chuk.web.routes import Auth, Route, RouteTable

PREFIX = "/v1/ai"


def build(routes: RouteTable, settings: Settings) -> web.Application:
    """The area as a sub-application."""
    message_max_bytes = settings.chat.message_max_bytes
    app = web.Application()
    routes.mount(
        app,
        PREFIX,
        [
            Route(
                "POST",
                "/chat",
                chat,
                "Chat, streamed as server-sent events",
                "chat",
                scope=Scope.CHAT,
                bucket="chat",
                max_body=message_max_bytes,
                request=ChatRequest,
                request_types=(JSON, MULTIPART, FORM),
                takes_key=True,
                media_type="text/event-stream",
                errors=(
                    InsufficientCredits,
                    QuotaExceeded,
                    ContextTooLong,
                    ContentFiltered,
                    ModelNotFound,
                    UnsupportedFormat,
                    ProviderError,
                    ModelUnavailable,
                    ProviderTimeout,
                ),
            ),
            Route(
                "GET",
                "/chat/ws",
                chat_socket,
                "Chat over one lasting WebSocket",
                "chat",
                scope=Scope.CHAT,
                auth=Auth.SOCKET,
                media_type="websocket",
                errors=(Forbidden,),
            ),
            Route(
                "POST",
                "/quote",
                quote,
                "What a chat request could cost at most, before it is sent",
                "chat",
                scope=Scope.CHAT,
                max_body=message_max_bytes,
                request=ChatRequest,
                request_types=(JSON, MULTIPART, FORM),
                response=ChatQuote,
                errors=(ContextTooLong, ModelNotFound, UnsupportedFormat, ServiceUnavailable),
            ),
            Route(
                "GET",
                "/models",
                models,
                "The models this user may use",
                "models",
                scope=Scope.MODELS,
                response=Model,
                many=True,
                errors=(ServiceUnavailable,),
            ),
            Route(
                "GET",
                "/config",
                config,
                "Defaults, limits, formats, prices and features",
                "models",
                scope=Scope.MODELS,
                query=ConfigQuery,
                response=Config,
                errors=(ModelNotFound, ServiceUnavailable),
            ),
            *STREAM_ROUTES,
            *file_routes(settings),
            *SPEECH_ROUTES,
            *audio_routes(settings),
            *IMAGE_ROUTES,
        ],
    )
    app.on_response_prepare.append(open_to_all)
    return app
