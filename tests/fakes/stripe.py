"""A stateful stand-in for Stripe, over its real protocol.

    async with FakeStripe() as fake:
        ...  # point the code under test at fake.base_url with fake.secret_key
        subscription = fake.account.complete_checkout("cs_test_0001")
        await fake.deliver(url, *fake.account.events.values())

It refuses what the real one refuses: a wrong key, another version, unknown parameters, an
idempotency key used for something else. What happens in the account makes events; they are only
sent when a test says so, as often and in whatever order it likes.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from tests.fakes.service import FakeServer
from tests.fakes.stripe_account import StripeAccount
from tests.fakes.stripe_api import StripeApi, nested
from tests.fakes.stripe_faults import ERRORS, Fault, Gate, Planned, Refused
from tests.fakes.stripe_objects import PRICE, VERSION, Object

__all__ = ["PRICE", "FakeStripe", "Fault", "Gate", "RecordedCall"]


@dataclass
class RecordedCall:
    """One request as it came.

    Attributes:
        replayed: whether it was answered from what its idempotency key had got before.
    """

    method: str
    path: str
    params: dict[str, Any]
    headers: dict[str, str]
    replayed: bool = False

    @property
    def key(self) -> str | None:
        return self.headers.get("idempotency-key")


@dataclass
class _Remembered:
    """What was done under an idempotency key, and what it was answered with."""

    request: tuple[str, str, str]
    status: int
    body: bytes


class FakeStripe(FakeServer):
    """The server. Everything it holds may be read and changed while it runs.

    Attributes:
        account: what the Stripe account holds.
        calls: every request so far, in order.
    """

    def __init__(
        self, *, secret_key: str = "sk_test_fake", webhook_secret: str = "whsec_fake"
    ) -> None:
        super().__init__()
        self.secret_key = secret_key
        self.webhook_secret = webhook_secret
        self.account = StripeAccount(int(time.time()))
        self.api = StripeApi(self.account)
        self.calls: list[RecordedCall] = []
        self._planned: list[Planned] = []
        self._gates: list[Gate] = []
        self._keys: dict[str, _Remembered] = {}

    @property
    def base_url(self) -> str:
        """What to use as the address of its API."""
        return self.address

    def environ(self) -> dict[str, str]:
        """The variables that point a server at this."""
        return {
            "STRIPE_SECRET_KEY": self.secret_key,
            "STRIPE_WEBHOOK_SECRET": self.webhook_secret,
            "STRIPE_PRICE_ID": PRICE,
            "STRIPE_API_BASE": self.base_url,
        }

    def clock(self) -> datetime:
        """The account's own time."""
        return datetime.fromtimestamp(self.account.now, UTC)

    # Failing and watching.

    def fail(
        self, fault: Fault, path: str = "/v1/", *, method: str | None = None, times: int | None = 1
    ) -> None:
        """Make the next requests to paths that begin like this fail; `times` None: all."""
        self._planned.append(Planned(fault, path, method, times))

    def mend(self) -> None:
        """End every fault."""
        self._planned.clear()

    def hold(self, path: str, *, method: str | None = None) -> Gate:
        """Hold back the answer to the next request to this path, after it has been worked out."""
        gate = Gate(path, method)
        self._gates.append(gate)
        return gate

    def let_go(self) -> None:
        """Hold back nothing any more."""
        for gate in self._gates:
            gate.open()
        self._gates.clear()

    def writes(self, path: str = "/v1/") -> list[RecordedCall]:
        """The requests that changed something, without those answered from memory."""
        return [
            call
            for call in self.calls
            if call.method != "GET" and call.path.startswith(path) and not call.replayed
        ]

    # Webhooks.

    def signed(
        self, event: Object, *, at: int | None = None, secret: str | None = None
    ) -> tuple[bytes, str]:
        """An event's body, and the header that signs it at this moment of the account's clock."""
        body = json.dumps(event).encode()
        return body, self.signature(body, at=at, secret=secret)

    def signature(self, body: bytes, *, at: int | None = None, secret: str | None = None) -> str:
        """The header that signs a body."""
        moment = self.account.now if at is None else at
        key = (self.webhook_secret if secret is None else secret).encode()
        signed = hmac.new(key, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        return f"t={moment},v1={signed},v0=unused"

    async def deliver(
        self, url: str, *events: Object, at_once: bool = False, times: int = 1
    ) -> list[int]:
        """Send events to a webhook, each so many times; returns the statuses it answered.

        They are signed by the machine's clock, as the receiver checks them by its own.
        """
        async with aiohttp.ClientSession() as session:

            async def send(event: Object) -> int:
                body, header = self.signed(event, at=int(time.time()))
                headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
                async with session.post(url, data=body, headers=headers) as answer:
                    await answer.read()
                    return answer.status

            sending = [event for event in events for _ in range(times)]
            if at_once:
                return list(await asyncio.gather(*map(send, sending)))
            return [await send(event) for event in sending]

    # Life.

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.let_go()
        await super().__aexit__(kind, error, trace)

    def _application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        text = request.query_string if request.method in ("GET", "DELETE") else ""
        if not text:
            text = (await request.read()).decode()
        params = nested(parse_qsl(text, keep_blank_values=True))
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = RecordedCall(request.method, request.path, params, headers)
        self.calls.append(call)
        fault = self._fault(call)
        if fault is Fault.DOWN:
            return self._break(request)
        if fault is Fault.SLOW:
            await self.release.wait()
        elif fault is Fault.NONSENSE:
            return web.Response(text="<h1>It works!</h1>", content_type="text/html")
        elif fault is Fault.EMPTY:
            return web.json_response({"object": "unheard_of"})
        elif fault in ERRORS:
            status, error = ERRORS[fault]
            return web.json_response({"error": error}, status=status)
        status, body = self._answer(call)
        if fault is Fault.LOST:
            return self._break(request)
        for gate in self._gates:
            if not gate.reached.is_set() and Planned(Fault.SLOW, gate.path, gate.method, None).fits(
                call.method, call.path
            ):
                await gate.pass_through()
                break
        if fault is Fault.CUT:
            return await self._cut(request, body)
        return web.Response(
            status=status,
            body=body,
            content_type="application/json",
            headers={"Request-Id": f"req_{len(self.calls)}", "Stripe-Version": VERSION},
        )

    def _fault(self, call: RecordedCall) -> Fault | None:
        for planned in self._planned:
            if planned.fits(call.method, call.path):
                return planned.use()
        return None

    def _answer(self, call: RecordedCall) -> tuple[int, bytes]:
        try:
            if call.headers.get("authorization") != f"Bearer {self.secret_key}":
                raise Refused(401, "Invalid API Key provided")
            if call.headers.get("stripe-version") != VERSION:
                raise Refused(400, f"This stand-in speaks {VERSION} only")
            if call.method != "POST":
                return 200, _dumped(self.api.answer(call.method, call.path, call.params))
            if call.key is None:
                raise Refused(400, "This stand-in wants an idempotency key")
            return self._once(call, call.key)
        except Refused as refusal:
            return refusal.status, _dumped(refusal.body)

    def _once(self, call: RecordedCall, key: str) -> tuple[int, bytes]:
        """What was done under a key is done once; a refusal is remembered, too."""
        request = (call.method, call.path, json.dumps(call.params, sort_keys=True))
        known = self._keys.get(key)
        if known is not None:
            if known.request != request:
                message = "Keys for idempotent requests can only be used with the same parameters"
                raise Refused(400, message, kind="idempotency_error")
            call.replayed = True
            return known.status, known.body
        try:
            answer = 200, _dumped(self.api.answer(call.method, call.path, call.params))
        except Refused as refusal:
            answer = refusal.status, _dumped(refusal.body)
        self._keys[key] = _Remembered(request, *answer)
        return answer

    def _break(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _cut(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        return self._break(request)


def shuffled_versions(event: Object) -> Sequence[Object]:
    """The event as an account of another API version would send it, and as our own does."""
    older = copy.deepcopy(event)
    older["api_version"] = "2019-05-16"
    older["data"]["object"].pop("items", None)
    older["data"]["object"]["current_period_end"] = 1
    return (event, older)


def _dumped(body: Any) -> bytes:
    return json.dumps(body).encode()
