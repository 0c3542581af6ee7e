"""What tests of the embedded model share: questions to it, and its process watched from outside."""

from __future__ import annotations

import json
import os
from pathlib import Path

from chuk.adapters.embedded.ports import LanguageModel
from chuk.adapters.llama import LlamaServer
from chuk.adapters.openai_compatible import OpenAICompatible
from chuk.chat.command import CompletionRequest, Message, Role
from chuk.chat.events import Content, UpstreamEvent
from tests.adapters.conftest import a_push_client

REPOSITORY = Path(__file__).parents[2]
CONTEXT_LENGTH = 1024


def llama(data_dir: Path, model: Path | None = None) -> LlamaServer:
    """A server with a short context, not started yet."""
    return LlamaServer(
        data_dir=data_dir, model_path=model, context_length=CONTEXT_LENGTH, threads=1
    )


async def ask(server: LanguageModel, *said: tuple[Role, str], max_tokens: int = 60) -> list[str]:
    """Ask through the upstream client, at temperature 0; the pieces of the answer."""
    return pieces(await events(server, *said, max_tokens=max_tokens))


def pieces(happened: list[UpstreamEvent]) -> list[str]:
    """The pieces of an answer's text."""
    return [
        json.loads(b'"%b"' % piece)
        for event in happened
        if isinstance(event, Content)
        for piece in event.pieces
    ]


async def events(
    server: LanguageModel, *said: tuple[Role, str], max_tokens: int = 60
) -> list[UpstreamEvent]:
    """All that the upstream client makes of one answer."""
    request = CompletionRequest(
        model_id="local/gemma-3-270m",
        messages=tuple(Message(role, text) for role, text in said),
        providers=("local",),
        max_tokens=max_tokens,
        temperature=0.0,
    )
    found: list[UpstreamEvent] = []
    push = a_push_client()
    try:
        await OpenAICompatible(push, server.address).complete(request, found.extend)
    finally:
        push.close()
    return found


def is_running(process: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Where there is no /proc, whoever adopts orphans reaps them at once.
    status = Path(f"/proc/{process}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    except ProcessLookupError:
        return False
