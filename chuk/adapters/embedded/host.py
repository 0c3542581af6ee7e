"""The host: keeps the warm workers and the language model of one machine, for many processes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import orjson

from chuk.adapters.child import ANSWER, FAILED, PIECE, REFUSED
from chuk.adapters.children import (
    ChildFailed,
    ChildRefused,
    ChildTimeout,
    WarmWorker,
    framed,
    next_frame,
)
from chuk.adapters.embedded.wire import CALL, HEARD, LATE, STATE
from chuk.adapters.llama import LlamaServer
from chuk.logs import log_failure, logger

# A worker that is replaced comes back for the model it had.
_MODEL_IDLE = 30.0
_DONE = b"{}"


class Host:
    """Does what the processes of this server ask for; trusts them.

    Args:
        model_idle: seconds without anybody who follows a model, after which it is ended.
    """

    def __init__(self, *, model_idle: float = _MODEL_IDLE) -> None:
        self._model_idle = model_idle
        self._workers: dict[str, WarmWorker] = {}
        self._models: dict[str, LlamaServer] = {}
        self._followers: dict[str, int] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def start(self, listening: socket.socket) -> None:
        """Take calls from a socket that listens."""
        self._server = await asyncio.start_unix_server(self._connected, sock=listening)

    async def close(self) -> None:
        """End everything that runs. Idempotent."""
        self._is_closed = True
        if self._server is not None:
            self._server.close()
        tasks = self._connections | self._ending
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for worker in self._workers.values():
            await worker.close()
        for model in self._models.values():
            await model.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            kind, body = await next_frame(reader)
            if kind != CALL:
                raise EOFError
            call = json.loads(body)
            await _put(writer, HEARD, b"")
            work = (
                self._tell(call["model"], writer)
                if "model" in call
                else _do(self._worker(call["worker"]), call, writer)
            )
            await _while_connected(reader, work)
        except (EOFError, OSError):
            # It has gone, and needs no answer.
            pass
        except asyncio.CancelledError:
            # Not raised: the streams of asyncio would report it as a failure of theirs.
            pass
        except Exception as error:
            log_failure("embedded", error)
        finally:
            self._connections.discard(task)
            writer.close()

    def _worker(self, orders: dict[str, Any]) -> WarmWorker:
        """The one worker for these orders."""
        name = json.dumps(orders, sort_keys=True)
        if name not in self._workers:
            self._workers[name] = WarmWorker(
                orders["module"], memory=orders["memory"], idle=orders["idle"], cpu=orders["cpu"]
            )
        return self._workers[name]

    async def _tell(self, orders: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Run the model for as long as somebody follows it, and say each change."""
        name = json.dumps(orders, sort_keys=True)
        self._followers[name] = self._followers.get(name, 0) + 1
        try:
            model = await self._model(name, orders)
            while True:
                change = model.change
                await _put(writer, STATE, orjson.dumps(_state(model)))
                await change.wait()
        finally:
            self._followers[name] -= 1
            if not self._followers[name] and not self._is_closed:
                self._expire(name)

    async def _model(self, name: str, orders: dict[str, Any]) -> LlamaServer:
        if name not in self._models:
            path = orders["model_path"]
            self._models[name] = LlamaServer(
                data_dir=Path(orders["data_dir"]),
                model_path=None if path is None else Path(path),
                context_length=orders["context_length"],
                threads=orders["threads"],
            )
        await self._models[name].start()
        return self._models[name]

    def _expire(self, name: str) -> None:
        async def end() -> None:
            await asyncio.sleep(self._model_idle)
            if not self._followers[name] and name in self._models:
                logger("embedded").info("nobody asks the model", seconds=self._model_idle)
                await self._models.pop(name).close()

        task = asyncio.create_task(end(), name="a model that nobody asks")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _while_connected(reader: asyncio.StreamReader, work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it is done, or until the other side is gone: nothing more comes of it."""
    doing = asyncio.create_task(work)
    gone = asyncio.create_task(_end_of(reader))
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not doing.done():
            doing.cancel()
        # Its child is ended when it is, whoever is in a hurry.
        await asyncio.wait({doing, gone})
    if not doing.cancelled():
        doing.result()


async def _end_of(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(1024):
            pass


async def _do(worker: WarmWorker, call: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    """Let the worker do one job, and pass on what comes of it."""
    request, timeout = call["request"], call["timeout"]
    try:
        if call["streams"]:
            stream: Any = worker.stream(request, timeout=timeout)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    await _put(writer, PIECE, piece)
            answer = _DONE
        else:
            answer = orjson.dumps(await worker.ask(request, timeout=timeout))
    except ChildTimeout:
        await _put(writer, LATE, b"")
    except ChildRefused as refused:
        said = {"code": refused.code, "message": refused.message, "details": refused.details}
        await _put(writer, REFUSED, orjson.dumps(said))
    except ChildFailed as failed:
        await _put(writer, FAILED, orjson.dumps(str(failed)))
    else:
        await _put(writer, ANSWER, answer)


async def _put(writer: asyncio.StreamWriter, kind: bytes, body: bytes) -> None:
    writer.write(framed(kind, body))
    await writer.drain()


def _state(model: LlamaServer) -> dict[str, object]:
    """What a follower is told."""
    if model.is_up:
        address = model.address()
        return {"url": address.base_url, "key": address.api_key}
    if model.problem is not None:
        return {"problem": model.problem, "retry_in": model.retry_in}
    return {}
