"""Requests to the paths of OpenAI's API, for checking what the OpenAPI document says of them."""

from __future__ import annotations

from chuk.adapters.minilm_child import NAME
from tests.api.openapi_document import Call
from tests.harness import MODEL
from tests.media.recordings import silence
from tests.web.sending import FORM_DATA, part

_CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]}
_MODEL_PART = part(b'Content-Disposition: form-data; name="model"', b"whisper-1")
_FORM_PART = b'Content-Disposition: form-data; name="response_format"'
_VOICE_PART = b'Content-Disposition: form-data; name="file"; filename="a"'
_VOICE = part(_VOICE_PART, silence(1)) + b"--b--\r\n"
_FORM = {"Content-Type": FORM_DATA}
_IMAGE = {"prompt": "a hill", "size": "64x64"}
_TEXTS = {"model": "none", "input": "Hello"}
_WHOLE_FORM = _MODEL_PART + part(_FORM_PART, b"verbose_json") + _VOICE

OPENAI_CALLS = [
    Call("POST", "/v1/chat/completions", 200, json=_CHAT),
    Call("POST", "/v1/chat/completions", 400, json={}),
    Call("POST", "/v1/chat/completions", 401, json=_CHAT, signed_in=False),
    Call("POST", "/v1/chat/completions", 404, json={**_CHAT, "model": "nobody/knows"}),
    Call("GET", "/v1/models", 200),
    Call("GET", "/v1/models", 401, signed_in=False),
    Call("GET", "/v1/models/{id}", 404),
    Call("POST", "/v1/embeddings", 200, json={**_TEXTS, "model": NAME}),
    Call("POST", "/v1/embeddings", 400, json={}),
    Call("POST", "/v1/embeddings", 404, json=_TEXTS),
    Call("POST", "/v1/embeddings", 401, json=_TEXTS, signed_in=False),
    Call("POST", "/v1/audio/transcriptions", 200, data=_MODEL_PART + _VOICE, headers=_FORM),
    Call("POST", "/v1/audio/transcriptions", 200, data=_WHOLE_FORM, headers=_FORM),
    Call("POST", "/v1/audio/transcriptions", 400, data=_VOICE, headers=_FORM),
    Call("POST", "/v1/audio/transcriptions", 401, data=_VOICE, headers=_FORM, signed_in=False),
    Call("POST", "/v1/audio/speech", 400, json={}),
    Call("POST", "/v1/audio/speech", 401, json={}, signed_in=False),
    Call("POST", "/v1/images/generations", 200, json=_IMAGE),
    Call("POST", "/v1/images/generations", 400, json={}),
    Call("POST", "/v1/images/generations", 401, json=_IMAGE, signed_in=False),
]
