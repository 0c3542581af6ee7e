"""A stateful stand-in for fal's queue and its public store of pictures, over their real protocol.

    async with FakeFal() as fake:
        fake.script(FalJob(waits=3), FalJob(failure=content_policy()))
        ...  # point the code under test at fake.queue_url with fake.key

Without a script a request waits once, runs once and gives a JPEG of the size asked for. Its
status, result and cancellation are asked for without the model's last part, as at the real one.
"""

from __future__ import annotations

import asyncio
import base64
import io
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from aiohttp import web
from PIL import Image

from tests.fakes.service import FakeService

OWNER, APP, ENDPOINT = "fal-ai", "z-image", "turbo"
PRESETS = {"landscape_4_3": (1024, 768), "square": (512, 512)}


@dataclass
class Failure:
    """An answer that is an error."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def content_policy(prompt: str = "what was asked") -> Failure:
    """How moderation refuses; the real one quotes what it refuses."""
    error = {
        "loc": ["body", "prompt"],
        "msg": "The content was flagged by a content checker.",
        "type": "content_policy_violation",
        "url": "https://docs.fal.ai/errors#content_policy_violation",
        "input": prompt,
    }
    return Failure(422, {"detail": [error]})


def invalid_input() -> Failure:
    """How a model refuses what it does not understand; it quotes that too."""
    error = {"loc": ["body", "seed"], "msg": "not a seed", "type": "int_parsing", "input": "secret"}
    return Failure(422, {"detail": [error]})


@dataclass
class FalJob:
    """How one request goes.

    Attributes:
        waits, runs: how many questions find it in the queue, and then in progress; None: for ever.
        refusal: of the submission itself; nothing is made then.
        loses_answer: it is made, but the connection breaks before that is said.
        holds_answer: its submission is answered only after `FakeFal.release`.
        failure: what its result is.
        nsfw: the flag for its picture.
        picture: these bytes instead of a picture; of `size` instead of the one asked for.
        store_failures: so often the picture cannot be had at first.
        status_failures: so often the status cannot be had at first.
        foreign_urls: it names addresses of another host.
        seed: the one it says it used.
    """

    waits: int | None = 1
    runs: int | None = 1
    refusal: Failure | None = None
    loses_answer: bool = False
    holds_answer: bool = False
    failure: Failure | None = None
    nsfw: bool = False
    picture: bytes | None = None
    size: tuple[int, int] | None = None
    store_failures: int = 0
    status_failures: int = 0
    foreign_urls: bool = False
    tells_size: bool = True
    inline: bool = False
    seed: int | None = None
    id: str = field(default_factory=lambda: str(uuid4()))
    input: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    is_cancelled: bool = False

    @property
    def status(self) -> str:
        if self.waits is None or self.asked <= self.waits:
            return "IN_QUEUE"
        if self.runs is None or self.asked <= self.waits + self.runs:
            return "IN_PROGRESS"
        return "COMPLETED"


def jpeg(width: int, height: int, colour: str = "teal") -> bytes:
    """A picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "JPEG")
    return file.getvalue()


class FakeFal(FakeService):
    """The server. Everything it holds may be read and changed while it runs.

    Attributes:
        jobs: by id, everything it was asked to make.
        store_headers: the headers with which pictures were fetched.
        is_locked: the account may not do anything.
    """

    def __init__(self, *, key: str = "fal-test-key") -> None:
        super().__init__()
        self.key = key
        self.jobs: dict[str, FalJob] = {}
        self.submissions = 0
        self.store_headers: list[dict[str, str]] = []
        self.is_locked = False
        self._script: deque[FalJob] = deque()

    @property
    def queue_url(self) -> str:
        """What to use as the base URL of its queue."""
        return self.address

    def script(self, *jobs: FalJob) -> None:
        """Queue how the next requests go."""
        self._script.extend(jobs)

    @property
    def only_job(self) -> FalJob:
        """The one request there was."""
        (job,) = self.jobs.values()
        return job

    def _application(self) -> web.Application:
        app = web.Application()
        requests = f"/{OWNER}/{APP}/requests/{{id}}"
        app.router.add_post(f"/{OWNER}/{APP}/{ENDPOINT}", self._submit)
        app.router.add_get(f"{requests}/status", self._status)
        app.router.add_get(requests, self._result)
        app.router.add_put(f"{requests}/cancel", self._cancel)
        app.router.add_get("/files/{id}.jpeg", self._file)
        return app

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") != f"Key {self.key}":
            return web.json_response({"detail": "Cannot access application"}, status=401)
        if self.is_locked:
            detail = "User is locked. Reason: Exhausted balance."
            return web.json_response({"detail": detail}, status=403)
        return None

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        self.submissions += 1
        refused = self._refused(request)
        job = self._script.popleft() if self._script else FalJob()
        if refused is None and job.refusal is not None:
            refused = _error(job.refusal)
        if refused is not None:
            self._notify()
            return refused
        job.input = await request.json()
        job.headers = {name.lower(): value for name, value in request.headers.items()}
        self.jobs[job.id] = job
        self._notify()
        if job.holds_answer:
            # What it was told it makes, whether or not the client still listens.
            await asyncio.shield(asyncio.ensure_future(self.release.wait()))
        if job.loses_answer:
            assert request.transport is not None
            request.transport.abort()
        host = "https://queue.elsewhere.example" if job.foreign_urls else self.queue_url
        url = f"{host}/{OWNER}/{APP}/requests/{job.id}"
        return web.json_response(
            {
                "status": "IN_QUEUE",
                "request_id": job.id,
                "response_url": url,
                "status_url": f"{url}/status",
                "cancel_url": f"{url}/cancel",
                "queue_position": 0,
            }
        )

    async def _status(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        job = self.jobs[request.match_info["id"]]
        if job.status_failures:
            job.status_failures -= 1
            return web.json_response({"detail": "bad gateway"}, status=502)
        job.asked += 1
        self._notify()
        status = job.status
        return web.json_response(
            {"status": status, "request_id": job.id}, status=200 if status == "COMPLETED" else 202
        )

    async def _result(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        job = self.jobs[request.match_info["id"]]
        if job.status != "COMPLETED":
            return web.json_response({"detail": "Request is still in progress"}, status=400)
        if job.failure is not None:
            return _error(job.failure)
        width, height = job.size or _asked(job.input)
        url = f"{self.queue_url}/files/{job.id}.jpeg"
        if job.inline:
            url = "data:image/jpeg;base64," + _base64(jpeg(width, height))
        image = {"url": url, "content_type": "image/jpeg", "file_name": f"{job.id}.jpeg"}
        if job.tells_size:
            image |= {"width": width, "height": height}  # type: ignore[dict-item]
        return web.json_response(
            {
                "images": [image],
                "timings": {"inference": 0.4},
                "seed": job.input["seed"] if job.seed is None else job.seed,
                "has_nsfw_concepts": [job.nsfw],
                "prompt": job.input["prompt"],
            }
        )

    async def _cancel(self, request: web.Request) -> web.Response:
        refused = self._refused(request)
        if refused is not None:
            return refused
        job = self.jobs[request.match_info["id"]]
        if job.status == "COMPLETED":
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        job.is_cancelled = True
        self._notify()
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def _file(self, request: web.Request) -> web.Response:
        self.store_headers.append({k.lower(): v for k, v in request.headers.items()})
        job = self.jobs[request.match_info["id"]]
        if job.store_failures:
            job.store_failures -= 1
            return web.Response(status=503)
        body = job.picture
        if body is None:
            body = jpeg(*(job.size or _asked(job.input)))
        return web.Response(body=body, content_type="image/jpeg")


def _error(failure: Failure) -> web.Response:
    return web.json_response(failure.body, status=failure.status, headers=failure.headers)


def _asked(given: dict[str, Any]) -> tuple[int, int]:
    size = given.get("image_size", "landscape_4_3")
    return PRESETS[size] if isinstance(size, str) else (size["width"], size["height"])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
