"""A text, spoken to a client: audio that is sent as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import quote

from aiohttp import HttpVersion11, web

from chuk.errors import ChukError
from chuk.logs import logger
from chuk.media.speak import Speech
from chuk.media.utterance import Utterance
from chuk.web.keys import PRINCIPAL, SETTINGS


async def spoken_answer(
    request: web.Request,
    speech: Speech,
    utterance: Utterance,
    *,
    media_type: str = "",
    rewritten: Callable[[bytes], bytes] | None = None,
) -> web.StreamResponse:
    """Speak a text to the client.

    What fails before the first sound is a plain error. Afterwards the connection is cut inside
    the body, so that nobody takes half a text for the whole.

    Args:
        media_type: of what is sent, where it is not the encoding's own.
        rewritten: called with each piece of audio; what it returns is sent instead.
    """
    patience = request.config_dict[SETTINGS].chat.stall_timeout
    response: web.StreamResponse | None = None
    try:
        principal = request[PRINCIPAL]
        async with speech.spoken(principal.user_id, utterance, principal.api_key_id) as audio:
            response = web.StreamResponse(
                headers={
                    "Content-Type": media_type or utterance.encoding.media_type,
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                    # Names may have letters that a header may not.
                    "X-Voice": quote(speech.voice_for(utterance.voice_id), safe=" /:+@"),
                }
            )
            await response.prepare(request)
            async for sound in audio:
                piece = sound if rewritten is None else rewritten(sound)
                if piece:
                    async with asyncio.timeout(patience):
                        await response.write(piece)
        # Once the client is told that this was all, the books say so too.
        async with asyncio.timeout(patience):
            await response.write_eof()
    except ChukError:
        if response is None:
            raise
        _cut(request)
    except TimeoutError:
        logger("speech").warning("stalled client cut")
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        logger("speech").info("client left")
    assert response is not None
    return response


def _cut(request: web.Request) -> None:
    """End the connection inside the body."""
    transport = request.transport
    if transport is None:
        return
    if request.version >= HttpVersion11:
        # What was spoken still arrives; that the last chunk is missing tells the rest.
        transport.close()
    else:
        # Closing is how a whole body ends there.
        transport.abort()
