"""A Redis that forgets is told before it has."""

from __future__ import annotations

import pytest

from chuk.doctor import redis
from chuk.doctor.findings import Finding
from tests.doctor.conftest import Examine, says, verdicts
from tests.redis_server import RedisServer


async def found(examine: Examine, server: RedisServer) -> list[Finding]:
    """What is found of this Redis."""
    async with examine(REDIS_URL=server.url) as examined:
        return await redis.look(examined)


async def test_without_redis_there_is_nothing_to_look_at(examine: Examine) -> None:
    async with examine() as examined:
        assert verdicts(await redis.look(examined)) == ["ok"]


async def test_one_that_keeps_all_is_well(examine: Examine, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.config_set("appendonly", "yes")
        try:
            assert verdicts(await found(examine, redis_server)) == ["ok"]
        finally:
            client.config_set("appendonly", "no")


async def test_one_that_keeps_nothing_on_disk_is_told(
    examine: Examine, redis_server: RedisServer
) -> None:
    assert "Idempotency-Key" in says(await found(examine, redis_server), "warn")


@pytest.mark.parametrize(("limit", "verdict"), [(0, "warn"), (100_000_000, "fail")])
async def test_one_that_evicts_loses_claims(
    examine: Examine, redis_server: RedisServer, limit: int, verdict: str
) -> None:
    with redis_server.client() as client:
        client.config_set("save", "3600 1")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", limit)
        try:
            findings = await found(examine, redis_server)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", 0)
            client.config_set("save", "")
    assert "allkeys-lru" in says(findings, verdict)


async def test_one_that_is_away_is_a_failure_without_its_password(examine: Examine) -> None:
    async with examine(REDIS_URL="redis://:hush@127.0.0.1:1/0") as examined:
        findings = await redis.look(examined)
    assert "does not answer" in says(findings, "fail")
    assert "hush" not in str(findings)


@pytest.mark.parametrize(
    ("fact", "saves", "verdict", "word"),
    [
        ({"redis_version": "6.0.16"}, True, "fail", "too old"),
        ({"cluster_enabled": 1}, True, "fail", "Cluster"),
        ({"role": "slave"}, True, "fail", "replica"),
        ({"rdb_last_bgsave_status": "err"}, True, "fail", "disk"),
        ({"aof_last_write_status": "err"}, True, "fail", "disk"),
        ({}, False, "warn", "restarts"),
        ({"aof_enabled": 1}, False, "ok", "keeps all"),
        # Those that others run do not tell whether they save.
        ({}, None, "ok", "keeps all"),
    ],
)
def test_what_it_says_of_itself(
    fact: dict[str, object], saves: bool | None, verdict: str, word: str
) -> None:
    assert word in says(redis.judge({"redis_version": "7.4.1", **fact}, saves), verdict)
