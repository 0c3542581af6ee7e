"""A stateful stand-in for OpenRouter, over its real protocol.

    async with FakeOpenRouter() as fake:
        fake.script(Reply(content=["Hel", "lo"], stall_after=1))
        ...  # point the code under test at fake.base_url with fake.api_key
        await fake.wait_for_disconnect()

Without a script a completion answers with text that depends on its prompt, keeps to a format, or
calls a tool that is offered, once. It refuses what the real one refuses: a wrong key, an unknown
model, a routing that leaves no endpoint, too long a talk.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.openrouter_embeddings import embeddings_of
from tests.fakes.openrouter_models import FakeEndpoint, FakeModel, default_models
from tests.fakes.openrouter_replies import (
    Fault,
    Generation,
    RecordedRequest,
    Reply,
)
from tests.fakes.openrouter_usual import usual_reply
from tests.fakes.openrouter_wire import (
    Refused,
    ending,
    known_model,
    misbehave,
    opened,
    pieces,
    route,
)
from tests.fakes.service import FakeService

__all__ = ["FakeEndpoint", "FakeModel", "FakeOpenRouter", "Fault", "RecordedRequest", "Reply"]

_PREFIX = "/api/v1"
RECORD = web.RequestKey("record", RecordedRequest)


class FakeOpenRouter(FakeService):
    """The server. Everything it holds may be read and changed while it runs.

    Attributes:
        models: what it offers; change the entries to change the catalogue.
        embedding_models: what makes vectors: nothing, at first.
        names_costs: whether embeddings say what they cost.
        requests: every request so far, in order.
        open_completions: completions being answered now.
        busiest: the most requests of any kind that were being answered at once.
        generations: by id, everything it has begun to answer.
        asks_before_cost: how often `GET /generation` answers 404 for each id, as the real one
            does until its books are written; None: for ever.
        endpoints: by tag, how completions go that this endpoint alone is asked for, unless one is
            scripted.
        zdr_rows_name_models: False leaves `model_id` out of the ZDR list, as older answers did.
    """

    def __init__(self, *, api_key: str = "sk-or-v1-test") -> None:
        super().__init__()
        self.api_key = api_key
        self.models: list[FakeModel] = default_models()
        self.embedding_models: list[FakeModel] = []
        # Who serves no model here, but is known by this name.
        self.other_providers = ["chutes", "alibaba", "friendli", "wandb", "crusoe", "ncompass"]
        self.names_costs = True
        self.requests: list[RecordedRequest] = []
        self.generations: dict[str, Generation] = {}
        self.asks_before_cost: int | None = 0
        self.open_completions = 0
        self.busiest = 0
        self.zdr_rows_name_models = True
        self.endpoints: dict[str, Reply] = {}
        self._replies: deque[Reply] = deque()
        self._faults: dict[str, Fault] = {}

    # Scripting and watching.

    @property
    def base_url(self) -> str:
        """What to use as OpenRouter's base URL."""
        return self.address + _PREFIX

    def script(self, *replies: Reply) -> None:
        """Queue how the next completions behave."""
        self._replies.extend(replies)

    def fail(self, path: str, fault: Fault) -> None:
        """Make a route misbehave: `/models`, `/endpoints/zdr`, `/generation`, a model's page."""
        self._faults[path] = fault

    def mend(self) -> None:
        """End every fault."""
        self._faults.clear()

    def model(self, model_id: str) -> FakeModel:
        """The model with this id."""
        return next(model for model in self.models if model.id == model_id)

    @property
    def charged(self) -> Decimal:
        """US dollars that it took for all it has answered."""
        return sum((each.cost for each in self.generations.values()), Decimal(0))

    @property
    def completions(self) -> list[RecordedRequest]:
        """The recorded requests for completions."""
        return [request for request in self.requests if request.path == "/chat/completions"]

    async def wait_for_completions(self, count: int = 1) -> None:
        """Wait until this many completions were asked for."""
        await self.wait_until(lambda: len(self.completions) >= count)

    # Life.

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._around], client_max_size=64 * 2**20)
        app.router.add_get(f"{_PREFIX}/models", self._list_models)
        app.router.add_get(_PREFIX + "/models/{author}/{slug}/endpoints", self._list_endpoints)
        app.router.add_get(f"{_PREFIX}/endpoints/zdr", self._list_zdr)
        app.router.add_get(f"{_PREFIX}/providers", self._list_providers)
        app.router.add_get(f"{_PREFIX}/generation", self._generation)
        app.router.add_post(f"{_PREFIX}/chat/completions", self._complete)
        app.router.add_get(f"{_PREFIX}/embeddings/models", self._list_embedding_models)
        app.router.add_post(f"{_PREFIX}/embeddings", self._embed)
        return app

    @web.middleware
    async def _around(
        self, request: web.Request, handler: Callable[[web.Request], Any]
    ) -> web.StreamResponse:
        record = RecordedRequest(
            request.method,
            request.path.removeprefix(_PREFIX),
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            peer=request.transport and request.transport.get_extra_info("peername"),
        )
        request[RECORD] = record
        with self._answering(record, counts=record.path == "/chat/completions"):
            self.busiest = max(self.busiest, len(self._handlers))
            return await self._recorded(request, record, handler)

    async def _recorded(
        self,
        request: web.Request,
        record: RecordedRequest,
        handler: Callable[[web.Request], Any],
    ) -> web.StreamResponse:
        try:
            if request.can_read_body:
                try:
                    record.body = orjson.loads(await request.read())
                except ValueError:
                    raise Refused(400, "Invalid JSON") from None
            self.requests.append(record)
            self._notify()
            if record.headers.get("authorization") != f"Bearer {self.api_key}":
                raise Refused(401, "No auth credentials found")
            if record.path in self._faults:
                return await misbehave(request, self._faults[record.path], record, self.release)
            response: web.StreamResponse = await handler(request)
            return response
        except Refused as refusal:
            record.outcome = "refused"
            return web.json_response(refusal.body, status=refusal.status)

    # The catalogue.

    async def _list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [model.listing() for model in self.models]})

    async def _list_endpoints(self, request: web.Request) -> web.Response:
        model = known_model(
            self.models, f"{request.match_info['author']}/{request.match_info['slug']}"
        )
        return web.json_response({"data": model.page()})

    async def _list_zdr(self, request: web.Request) -> web.Response:
        rows = [
            model.endpoint_entry(endpoint)
            for model in (*self.models, *self.embedding_models)
            for endpoint in model.endpoints
            if endpoint.zdr
        ]
        if not self.zdr_rows_name_models:
            for row in rows:
                del row["model_id"]
        return web.json_response({"data": rows})

    async def _list_providers(self, request: web.Request) -> web.Response:
        serving = {each.provider_slug for model in self.models for each in model.endpoints}
        slugs = sorted(serving.union(self.other_providers))
        return web.json_response({"data": [{"name": slug.title(), "slug": slug} for slug in slugs]})

    # Embeddings.

    async def _list_embedding_models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [model.listing() for model in self.embedding_models]})

    async def _embed(self, request: web.Request) -> web.Response:
        body = request[RECORD].body
        return web.json_response(
            embeddings_of(self.embedding_models, body, counts=self.names_costs)
        )

    async def _generation(self, request: web.Request) -> web.Response:
        generation = self.generations.get(request.query.get("id", ""))
        if generation is None or not generation.is_written(self.asks_before_cost):
            raise Refused(404, "Generation not found")
        return web.json_response({"data": generation.record()})

    # Completions.

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        record = request[RECORD]
        reply = self._replies.popleft() if self._replies else self._usual_reply(record.body)
        self.open_completions += 1
        self._notify()
        generation: Generation | None = None
        try:
            if reply.never_answer:
                await self.release.wait()
            if reply.status != 200:
                record.outcome = "refused"
                error = reply.error or {"message": "Provider returned error", "code": reply.status}
                return web.json_response(
                    {"error": dict(error)}, status=reply.status, headers=dict(reply.headers)
                )
            model, endpoint = route(self.models, record.body)
            generation = opened(len(self.generations) + 1, record.body, model, endpoint)
            self.generations[generation.id] = generation
            return await self._stream(request, reply, generation, endpoint)
        except (asyncio.CancelledError, ConnectionError):
            if not self._closing and record.outcome == "open" and generation is not None:
                generation.cancelled = True
            raise
        finally:
            self.open_completions -= 1
            self._notify()

    def _usual_reply(self, body: Any) -> Reply:
        routing = body.get("provider") if isinstance(body, dict) else None
        only = routing.get("only") if isinstance(routing, dict) else None
        if only and len(only) == 1 and only[0] in self.endpoints:
            return self.endpoints[only[0]]
        return usual_reply(body)

    @property
    def asked(self) -> list[str]:
        """Whom each completion so far was asked for, by tag."""
        return [record.body["provider"]["only"][0] for record in self.completions]

    async def _stream(
        self, request: web.Request, reply: Reply, generation: Generation, endpoint: FakeEndpoint
    ) -> web.StreamResponse:
        record = request[RECORD]
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Generation-Id": generation.id,
                **reply.headers,
            }
        )
        await response.prepare(request)
        if reply.raw is None:
            for _ in range(reply.comments):
                await response.write(b": OPENROUTER PROCESSING\n\n")
        waiting: list[bytes] = []
        for number, piece in enumerate(pieces(record.body, reply, generation)):
            if reply.stream_error is not None and number == reply.error_after:
                break
            if waiting and (reply.holds(number) or len(waiting) >= reply.pieces_per_write):
                await response.write(b"".join(waiting))
                waiting.clear()
            if not await reply.may_go_on(number, self.release):
                return self._break(request, response)
            waiting.append(piece)
            record.pieces_sent += 1
            if reply.raw is None:
                generation.completion_tokens += 1
                generation.cost = endpoint.cost(
                    generation.prompt_tokens, generation.completion_tokens
                )
            self._notify()
        if waiting:
            await response.write(b"".join(waiting))
        if not await reply.may_go_on(record.pieces_sent, self.release):
            return self._break(request, response)
        if reply.raw is None:
            for frame in ending(reply, generation):
                await response.write(frame)
        record.outcome = "finished"
        await response.write_eof()
        return response

    def _break(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        request[RECORD].outcome = "broken"
        # Closing sends what is buffered and then ends the connection inside the chunked body.
        if request.transport is not None:
            request.transport.close()
        return response
