"""Rate limits: what may burst, when it goes on, and who is counted together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chuk.web.limits import Decision, MemoryRateLimits
from tests.conftest import StartServer
from tests.harness import RunningServer

_START = 1_768_473_000
_ALICE, _BOB = UUID(int=1), UUID(int=2)


class TurnableLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is what a test says it is."""

    now = 1000.0

    def time(self) -> float:
        return self.now


def at_will(work: Callable[[TurnableLoop], Coroutine[None, None, None]]) -> None:
    """Run a test's body on a loop whose time stands still until it is turned."""
    with asyncio.Runner(loop_factory=TurnableLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, TurnableLoop)
        runner.run(work(loop))


def limits_of(
    loop: TurnableLoop, *, most_buckets: int = 10_000, **per_minute: int
) -> MemoryRateLimits:
    """Limits whose clock shows the same time as the loop, from a round moment on."""

    def clock() -> datetime:
        return datetime.fromtimestamp(_START + loop.now - 1000, UTC)

    return MemoryRateLimits(per_minute, clock=clock, most_buckets=most_buckets)


def test_a_full_bucket_may_burst_and_then_drips() -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, chat=60)
        burst = [await limits.take("chat", "a") for _ in range(60)]
        assert all(decision.allowed for decision in burst)
        assert [decision.remaining for decision in burst] == list(range(59, -1, -1))
        refused = await limits.take("chat", "a")
        assert refused == Decision(False, 60, 0, _START + 60, 1)
        loop.now += 1
        assert (await limits.take("chat", "a")).allowed
        assert not (await limits.take("chat", "a")).allowed
        loop.now += 30
        assert [(await limits.take("chat", "a")).allowed for _ in range(31)].count(True) == 30

    at_will(body)


def test_retry_after_is_when_the_next_one_passes() -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, image=4)
        for _ in range(4):
            await limits.take("image", "a")
        refused = await limits.take("image", "a")
        assert refused.retry_after == 15
        loop.now += refused.retry_after - 0.5
        assert not (await limits.take("image", "a")).allowed
        loop.now += 0.5
        assert (await limits.take("image", "a")).allowed

    at_will(body)


def test_refused_requests_do_not_fill_the_bucket() -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, chat=2)
        for _ in range(100):
            await limits.take("chat", "a")
        loop.now += 30
        assert (await limits.take("chat", "a")).allowed

    at_will(body)


def test_kinds_and_users_are_counted_apart() -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, chat=1, other=1)
        for bucket in ("chat", "other"):
            for key in ("a", "b"):
                assert (await limits.take(bucket, key)).allowed
                assert not (await limits.take(bucket, key)).allowed

    at_will(body)


def test_buckets_that_have_run_empty_are_forgotten() -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, address=60)
        for number in range(5_000):
            await limits.take("address", str(number))
        loop.now += 0.5
        limits.tick(loop.now)
        assert len(limits) == 5_000
        loop.now += 0.5
        await limits.take("address", "fresh")
        for _ in range(3):
            limits.tick(loop.now)
        assert len(limits) == 1
        assert (await limits.take("address", "fresh")).remaining == 58

    at_will(body)


def test_a_flood_of_addresses_costs_bounded_memory() -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, address=60, most_buckets=50)
        for number in range(500):
            await limits.take("address", str(number))
        assert len(limits) == 50

    at_will(body)


@given(
    rate=st.integers(1, 200),
    steps=st.lists(st.floats(0, 90), min_size=1, max_size=60),
)
def test_never_more_than_the_bucket_and_what_has_dripped(rate: int, steps: list[float]) -> None:
    async def body(loop: TurnableLoop) -> None:
        limits = limits_of(loop, chat=rate)
        began, passed = loop.now, 0
        for step in steps:
            loop.now += step
            decision = await limits.take("chat", "a")
            passed += decision.allowed
            assert passed <= rate + (loop.now - began) * rate / 60 + 1e-6
            assert 0 <= decision.remaining < rate
            assert decision.allowed == (decision.retry_after == 0)
            assert decision.resets_at <= _START + (loop.now - began) + 61

    at_will(body)


async def test_every_limited_answer_says_where_the_limit_is(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_OTHER="2") as server:
        url, headers = f"{server.url}/v1/ai/models", server.bearer()
        for remaining in ("1", "0"):
            async with server.client.get(url, headers=headers) as answer:
                assert answer.status == 200
                assert "Retry-After" not in answer.headers
                assert answer.headers["X-RateLimit-Limit"] == "2"
                assert answer.headers["X-RateLimit-Remaining"] == remaining
                assert 0 <= int(answer.headers["X-RateLimit-Reset"]) - time.time() <= 61
        async with server.client.get(url, headers=headers) as answer:
            assert answer.status == 429
            assert answer.headers["X-RateLimit-Limit"] == "2"
            assert answer.headers["X-RateLimit-Remaining"] == "0"
            assert int(answer.headers["X-RateLimit-Reset"]) > time.time()
            retry_after = int(answer.headers["Retry-After"])
            assert 1 <= retry_after <= 30
            error = (await answer.json())["error"]
        assert error["code"] == "RATE_LIMITED"
        assert error["details"] == {"retry_after": retry_after, "limit": 2, "window": 60}


async def test_errors_of_a_limited_route_carry_the_headers_too(server: RunningServer) -> None:
    async with server.client.get(
        f"{server.url}/v1/ai/config?model_id=nobody/knows", headers=server.bearer()
    ) as answer:
        assert answer.status == 404
        assert answer.headers["X-RateLimit-Limit"] == "120"
    async with server.client.post(
        f"{server.url}/v1/ai/chat", headers=server.bearer(), json={}
    ) as answer:
        assert answer.status == 400
        assert answer.headers["X-RateLimit-Limit"] == "60"
        assert answer.headers["X-RateLimit-Remaining"] == "59"


async def test_a_stream_carries_the_headers(server: RunningServer) -> None:
    async with server.client.post(
        f"{server.url}/v1/ai/chat",
        headers=server.bearer(),
        json={"model_id": "qwen/qwen3-32b", "message": "Hello"},
    ) as answer:
        assert answer.status == 200
        assert answer.headers["X-RateLimit-Remaining"] == "59"
        await answer.read()


async def test_users_at_one_address_have_a_limit_each(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_OTHER="1", CHUK_LIMIT_ADDRESS="1") as server:
        url = f"{server.url}/v1/ai/models"
        for user in (_ALICE, _BOB):
            async with server.client.get(url, headers=server.bearer(user)) as answer:
                assert answer.status == 200
            # Another token of the same user is still the same user.
            async with server.client.get(url, headers=server.bearer(user, seconds=60)) as answer:
                assert answer.status == 429


async def test_chat_and_everything_else_are_counted_apart(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_CHAT="1", CHUK_LIMIT_OTHER="1") as server:
        headers = server.bearer()
        for status in (400, 429):
            async with server.client.post(
                f"{server.url}/v1/ai/chat", headers=headers, json={}
            ) as answer:
                assert answer.status == status
        async with server.client.get(f"{server.url}/v1/ai/models", headers=headers) as answer:
            assert answer.status == 200


async def test_failed_authentication_is_counted_per_address(start_server: StartServer) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="2") as server:
        url = f"{server.url}/v1/ai/models"
        bad = {"Authorization": "Bearer a.b.c"}
        for headers, status in ((bad, 401), ({}, 401), (bad, 429), ({}, 429)):
            async with server.client.get(url, headers=headers) as answer:
                assert answer.status == status
                assert answer.headers["X-RateLimit-Limit"] == "2"
                assert ("Retry-After" in answer.headers) == (status == 429)
        # A good token is not punished for its neighbours.
        async with server.client.get(url, headers=server.bearer()) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("is_expired", [False, True])
async def test_a_deleted_account_is_limited_like_any_other(
    start_server: StartServer, is_expired: bool
) -> None:
    async with start_server(CHUK_LIMIT_OTHER="3", CHUK_LIMIT_ADDRESS="2") as server:
        url, headers = server.url, server.bearer()
        async with server.client.delete(f"{url}/v1/user/delete-account", headers=headers) as gone:
            assert gone.status == 200
        # It took one of the account's three.
        headers = server.bearer(seconds=-60 if is_expired else 60)
        for status in (403, 403, 429):
            async with server.client.get(f"{url}/v1/user/status", headers=headers) as answer:
                assert answer.status == status
                assert answer.headers["X-RateLimit-Limit"] == ("2" if is_expired else "3")


async def test_a_key_that_may_not_do_this_is_limited_like_any_other(
    start_server: StartServer,
) -> None:
    async with start_server(CHUK_LIMIT_CHAT="2") as server:
        wish = {"name": "Pictures", "scopes": ["images"]}
        async with server.client.post(
            f"{server.url}/v1/user/api-keys", headers=server.bearer(), json=wish
        ) as made:
            assert made.status == 200, await made.text()
            key = (await made.json())["data"]["key"]
        for status in (403, 403, 429):
            async with server.client.post(
                f"{server.url}/v1/ai/chat", headers={"Authorization": f"Bearer {key}"}, json={}
            ) as answer:
                assert answer.status == status
                assert answer.headers["X-RateLimit-Limit"] == "2"


@pytest.mark.parametrize("path", ["/", "/openapi.json", "/v1/models_info", "/nowhere"])
async def test_what_needs_no_token_is_counted_per_address(
    start_server: StartServer, path: str
) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="2") as server:
        for limited in (False, False, True):
            async with server.client.get(f"{server.url}{path}") as answer:
                assert (answer.status == 429) == limited
                assert answer.headers["X-RateLimit-Limit"] == "2"


@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("POST", "/webhooks/stripe")])
async def test_health_and_webhooks_are_never_limited(
    start_server: StartServer, method: str, path: str
) -> None:
    async with start_server(CHUK_LIMIT_ADDRESS="1", CHUK_LIMIT_OTHER="1") as server:
        for _ in range(5):
            async with server.client.request(method, f"{server.url}{path}") as answer:
                assert answer.status != 429
                assert "X-RateLimit-Limit" not in answer.headers
