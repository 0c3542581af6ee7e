"""Starts the server as a process at a stand-in for OpenRouter, and lets each program ask it.

    python -m tests.clients.stand NAME=COMMAND ...

Speech, hearing, painting and vectors are the server's own. A program is told where the server is
and its key by the variables that OpenAI's libraries read by themselves; one that ends with another
code than 0 has failed.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from chuk.accounts.issuer import DEFAULT_USER
from chuk.adapters.minilm_child import NAME
from tests.fakes.openrouter import FakeOpenRouter
from tests.harness import MODEL, openrouter_environ
from tests.processes import run_chuk, served

# Seconds for one program. On a busy machine the libraries alone take a minute to be imported.
_PATIENCE = 600.0
_SCOPES = ["chat", "embeddings", "audio", "images", "models"]
_LIMITS = ("CHAT", "AUDIO", "IMAGE", "SPEECH", "OTHER")


async def main(programs: list[tuple[str, list[str]]]) -> int:
    """Run the programs one after the other; returns how many failed."""
    with tempfile.TemporaryDirectory(prefix="chuk-clients-") as name:
        folder = Path(name)
        async with FakeOpenRouter() as fake, aiohttp.ClientSession() as client:
            environ = {
                "CHUK_DATA_DIR": str(folder / "data"),
                **openrouter_environ(fake),
                **{f"CHUK_LIMIT_{kind}": "100000" for kind in _LIMITS},
            }
            granted = await run_chuk("grant", str(DEFAULT_USER), "100", folder=folder, **environ)
            assert granted.code == 0, granted.err
            async with served(folder, environ) as server:
                await server.well(client)
                token = await run_chuk("token", folder=folder, **environ)
                key = await _api_key(client, server.url, token.out.strip())
                failed = 0
                for program, command in programs:
                    failed += not await _passes(program, command, server.url, key)
                ended = await server.stop(signal.SIGTERM)
                assert ended.code == 0, ended.err
                if failed:
                    print(ended.err, file=sys.stderr)
                return failed


async def _api_key(client: aiohttp.ClientSession, url: str, token: str) -> str:
    """A personal API key, as a person makes one for a program."""
    wanted = {"name": "clients", "scopes": _SCOPES, "monthly_budget_eur": 50}
    headers = {"Authorization": f"Bearer {token}"}
    async with client.post(f"{url}/v1/user/api-keys", json=wanted, headers=headers) as answer:
        body = await answer.json()
        assert answer.status in (200, 201), body
        return str(body["data"]["key"])


async def _passes(program: str, command: list[str], url: str, key: str) -> bool:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        env={
            **os.environ,
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": key,
            # LiteLLM would fetch its price list from the network.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "CLIENT_MODEL": MODEL,
            "CLIENT_EMBEDDING_MODEL": NAME,
        },
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            outcome = "passed" if await process.wait() == 0 else "FAILED"
    except TimeoutError:
        outcome = "FAILED, it did not end,"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    seconds = time.monotonic() - began
    print(f"== {program}: {outcome} in {seconds:.1f} s", flush=True)
    return outcome == "passed"


if __name__ == "__main__":
    named = [argument.partition("=") for argument in sys.argv[1:]]
    sys.exit(asyncio.run(main([(name, shlex.split(command)) for name, _, command in named])))
